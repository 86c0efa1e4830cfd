/** `startWorker`: runs a handler for each job of one or several queues. Mirrors functions/45-worker.sql and what it picks by. */
import { refuse } from './expect.ts'
import { PgQueue } from './queue.ts'
import { createRun } from './run-handler.ts'
import { sqlJobSource } from './sql-job-source.ts'
import type { HeldJob } from './worker-job.ts'
import { runWorker } from './worker-loop.ts'
import { workerSettings, type JobHandler, type Worker, type WorkerOptions } from './worker-options.ts'

/** What workers of a queue get as payload. */
export type PayloadOf<Queue> = Queue extends PgQueue<infer _T, infer Parsed> ? Parsed : never

/**
 * Starts a worker: it picks jobs, runs `handler` for each, keeps their leases alive meanwhile, and records the results,
 * until it is stopped.
 *
 * ```ts
 * const worker = startWorker(queue, async (payload, job) => { await send(payload.to) }, { concurrency: 20 })
 * process.once('SIGTERM', () => worker.stop())
 * ```
 * With several queues (of one database and schema) the payload is the union of theirs; see `job.queue_name`.
 */
export function startWorker<Parsed>(queue: PgQueue<unknown, Parsed>, handler: JobHandler<Parsed>, options?: WorkerOptions): Worker
export function startWorker<const Queues extends readonly PgQueue<unknown, unknown>[]>(
  queues: Queues, handler: JobHandler<PayloadOf<Queues[number]>>, options?: WorkerOptions,
): Worker
export function startWorker(
  queue_or_queues: PgQueue<unknown, unknown> | readonly PgQueue<unknown, unknown>[], handler: JobHandler<unknown>, options: WorkerOptions = {},
): Worker {
  const queues = queue_or_queues instanceof PgQueue ? [queue_or_queues] : queue_or_queues
  const first = Array.isArray(queues) ? queues[0] : undefined
  if (first === undefined || !queues.every((queue) => queue instanceof PgQueue)) refuse('queues', 'a PgQueue or several', queue_or_queues)
  if (queues.some((queue) => queue.db !== first.db || queue.schema_name !== first.schema_name)) {
    refuse('queues', 'queues of one database and one schema', queues)
  }
  const by_name = new Map(queues.map((queue) => [queue.queue_name, queue]))
  return runWorker(sqlJobSource(first.db, first.schema_name), [...by_name.keys()], createRun<HeldJob>(by_name, handler), workerSettings(options))
}
