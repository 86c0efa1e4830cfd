/** Worker processes. They are compiled into one file, because very many are started, and that takes long from many files. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { build } from 'esbuild'

export interface WorkerProcess {
  /** SIGKILL; resolves when it is dead. */
  kill9(): Promise<void>
  /** Resolves when it has finished what it has. */
  stop(): Promise<void>
}

/** Compiles the worker; gives the path of the program. */
export async function bundleWorker(): Promise<string> {
  const outfile = resolve(import.meta.dirname, '../../output/chaos/worker-main.mjs')
  await build({
    entryPoints: [resolve(import.meta.dirname, 'worker-main.ts')], outfile, bundle: true, format: 'esm', platform: 'node', target: 'node20',
    logLevel: 'warning',
  })
  return outfile
}

/** Resolves when it is at work. */
export async function startWorkerProcess(program: string, url: string, seed: number): Promise<WorkerProcess> {
  const child = fork(program, [url, String(seed)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  const began = await Promise.race([once(child, 'message'), ended])
  if (began[0] !== 'ready') throw new Error(`the worker process ended with ${String(began[1] ?? began[0])}`)
  return {
    async kill9() {
      child.kill('SIGKILL')
      await ended
    },
    async stop() {
      child.disconnect()
      await ended
    },
  }
}
