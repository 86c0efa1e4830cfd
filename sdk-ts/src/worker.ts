/** `startWorker`: runs a handler for each job of one or several queues. Mirrors functions/45-worker.sql and what it picks by. */
import { PgqError } from './errors.ts'
import { refuse } from './expect.ts'
import { failJob } from './outcome.ts'
import { parsePayload } from './payload-schema.ts'
import { PgQueue } from './queue.ts'
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
  if (typeof handler !== 'function') refuse('handler', 'a function', handler)

  const by_name = new Map(queues.map((queue) => [queue.queue_name, queue]))

  function runHandlerOfPgq(job: HeldJob): unknown {
    const { payload_schema } = by_name.get(job.queue_name)!
    if (payload_schema === undefined) return handler(job.picked.payload, job)
    try {
      const payload = parsePayload(payload_schema, job.picked.payload, job.queue_name)
      if (payload instanceof Promise) return payload.then((parsed) => handler(parsed, job), refusePayload)
      return handler(payload, job)
    } catch (error) {
      return refusePayload(error)
    }
  }

  return runWorker(sqlJobSource(first.db, first.schema_name), [...by_name.keys()], runHandlerOfPgq, workerSettings(options))
}

/** A payload that does not fit will not fit at the next attempt either. */
function refusePayload(error: unknown): unknown {
  if (error instanceof PgqError && error.code === 'payload_invalid') return failJob(error.message, { retry: false })
  throw error
}
