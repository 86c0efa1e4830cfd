/** Runs the user's handler for a job: parses the payload first. Shared by workers and endpoints. Mirrors no SQL file. */
import { PgqError } from './errors.ts'
import { refuse } from './expect.ts'
import { failJob } from './outcome.ts'
import { parsePayload, type PayloadSchema } from './payload-schema.ts'
import type { RunningJob } from './worker-job.ts'

/** What of a queue is needed to run its jobs. */
export interface QueueOfHandler {
  readonly queue_name: string
  readonly payload_schema?: PayloadSchema<unknown, unknown> | undefined
}

/** A function that runs `handler` for jobs of these queues. */
export function createRun<Job extends RunningJob>(
  queues: ReadonlyMap<string, QueueOfHandler>, handler: (payload: unknown, job: Job) => unknown,
): (job: Job) => unknown {
  if (typeof handler !== 'function') refuse('handler', 'a function', handler)

  return function runHandlerOfPgq(job) {
    const { payload_schema } = queues.get(job.queue_name)!
    if (payload_schema === undefined) return handler(job.picked.payload, job)
    try {
      const payload = parsePayload(payload_schema, job.picked.payload, job.queue_name)
      if (payload instanceof Promise) return payload.then((parsed) => handler(parsed, job), refusePayload)
      return handler(payload, job)
    } catch (error) {
      return refusePayload(error)
    }
  }
}

/** A payload that does not fit will not fit at the next attempt either. */
function refusePayload(error: unknown): unknown {
  if (error instanceof PgqError && error.code === 'payload_invalid') return failJob(error.message, { retry: false })
  throw error
}
