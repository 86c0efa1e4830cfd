/** Local endpoints in a process of their own, seen from the bench. */
import { fork } from 'node:child_process'
import { bundlePath } from '../worker-bundle.ts'

export type FromEndpoints =
  | { readonly type: 'ready'; readonly ports: readonly number[] }
  /** From a job's `sent_at` to the answer. */
  | { readonly type: 'latency'; readonly milliseconds: number }
  /** A request came that is not answered. */
  | { readonly type: 'hanging' }

export interface Endpoints extends AsyncDisposable {
  readonly urls: readonly string[]
  /** Milliseconds of the next job with a `sent_at`. */
  nextLatency(): Promise<number>
  /** Resolves when a request hangs. */
  readonly hangs: Promise<void>
}

const LONGEST_SILENCE_MILLISECONDS = 60_000

/** `hanging` is the number of the one that never answers, -1 for none. */
export async function startEndpoints(count: number, hanging: number): Promise<Endpoints> {
  const child = fork(await bundlePath('dispatch/endpoint-main'), [`${count}`, `${hanging}`], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const next = <Type extends FromEndpoints['type']>(type: Type): Promise<Extract<FromEndpoints, { type: Type }>> => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the endpoints did not say "${type}" for ${LONGEST_SILENCE_MILLISECONDS} ms`)), LONGEST_SILENCE_MILLISECONDS)
    timer.unref()
    child.on('message', function listen(message: FromEndpoints) {
      if (message.type !== type) return
      clearTimeout(timer)
      child.off('message', listen)
      resolve(message as Extract<FromEndpoints, { type: Type }>)
    })
  })
  const hangs = next('hanging').then(() => {})
  // Where none hangs nobody waits for it.
  hangs.catch(() => {})
  const { ports } = await next('ready')
  return {
    urls: ports.map((port) => `http://127.0.0.1:${port}/jobs`),
    nextLatency: async () => (await next('latency')).milliseconds,
    hangs,
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    },
  }
}
