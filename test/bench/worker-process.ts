/** A peer's worker in a process of its own, seen from the bench: memory and processor are then its own. */
import { fork, type ChildProcess } from 'node:child_process'
import type { Place, WorkKind } from './peers/peer.ts'
import { bundlePath } from './worker-bundle.ts'

export interface WorkerTask {
  readonly peer: string
  readonly place: Place
  readonly queue_names: readonly string[]
  readonly settings: 'default' | 'best'
  readonly kind: WorkKind
}

/** What the process tells while it works: jobs handled since the last start, and when (nanoseconds of the machine's clock). */
export interface Handled {
  readonly count: number
  readonly first_at: number
  readonly last_at: number
}

export type FromWorker =
  | { readonly type: 'ready' | 'started' | 'stopped' }
  | { readonly type: 'handled'; readonly handled: Handled }
  /** Milliseconds from a job's `sent_at` to its handler. */
  | { readonly type: 'latency'; readonly milliseconds: number }
  | { readonly type: 'peak'; readonly rss_bytes: number }
  | { readonly type: 'failed'; readonly message: string }

export type ToWorker = 'start' | 'stop' | 'exit'

export interface WorkerProcess extends AsyncDisposable {
  readonly handled: Handled
  start(): Promise<void>
  /** Stops the worker; the process can start it again. */
  stop(): Promise<void>
  /** Milliseconds of the next job with a `sent_at`. */
  nextLatency(): Promise<number>
  /** Ends the process, and tells the most memory that it ever had. */
  peakMemory(): Promise<number>
}

/** A worker that neither does nor says anything for so long has failed. */
export const LONGEST_SILENCE_MILLISECONDS = 60_000

const NOTHING: Handled = { count: 0, first_at: 0, last_at: 0 }

export async function startWorkerProcess(task: WorkerTask): Promise<WorkerProcess> {
  // (Some peers call what their driver will not have for ever.)
  const child: ChildProcess = fork(await bundlePath(), [JSON.stringify(task)], { execArgv: ['--no-deprecation'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  let handled = NOTHING
  const waiting: { readonly type: string; resolve(message: FromWorker): void; reject(error: Error): void }[] = []

  function fail(error: Error): void {
    for (const one of waiting.splice(0)) one.reject(error)
  }

  child.on('message', (message: FromWorker) => {
    if (message.type === 'handled') handled = message.handled
    else if (message.type === 'failed') fail(new Error(message.message))
    else waiting.splice(0).forEach((one) => (one.type === message.type ? one.resolve(message) : waiting.push(one)))
  })
  child.on('exit', (code, signal) => fail(new Error(`the worker process ended with ${signal ?? code}`)))

  function expect<Type extends FromWorker['type']>(type: Type): Promise<Extract<FromWorker, { type: Type }>> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the worker process did not say "${type}" for ${LONGEST_SILENCE_MILLISECONDS} ms`)), LONGEST_SILENCE_MILLISECONDS)
      const settled = <T>(tell: (value: T) => void) => (value: T): void => (clearTimeout(timer), tell(value))
      waiting.push({ type, resolve: settled(resolve as never), reject: settled(reject) })
    })
  }
  function send(message: ToWorker): void {
    child.send(message)
  }

  await expect('ready')
  return {
    get handled() {
      return handled
    },
    async start() {
      handled = NOTHING
      send('start')
      await expect('started')
    },
    async stop() {
      send('stop')
      await expect('stopped')
    },
    nextLatency: async () => (await expect('latency')).milliseconds,
    async peakMemory() {
      send('exit')
      return (await expect('peak')).rss_bytes
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    },
  }
}
