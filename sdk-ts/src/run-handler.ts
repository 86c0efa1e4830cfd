/** Runs the user's handler for a job: parses the payload first; a run of a workflow has its step run. Shared by workers and endpoints. Mirrors no SQL file. */
import { PgqError } from './errors.ts'
import { refuse } from './expect.ts'
import { failJob } from './outcome.ts'
import { parsePayload, type PayloadSchema } from './payload-schema.ts'
import type { LeaveJob, RunStep } from './run-step.ts'
import type { RunningJob } from './worker-job.ts'

/** What of a queue is needed to run its jobs. */
export interface QueueOfHandler {
  readonly queue_name: string
  readonly payload_schema?: PayloadSchema<unknown, unknown> | undefined
}

/** What runs the jobs of a worker or of an endpoint. */
export interface Handlers<Job extends RunningJob> {
  /** Of plain jobs, by name. */
  readonly queues: ReadonlyMap<string, QueueOfHandler>
  /** Of plain jobs. */
  readonly handler: ((payload: unknown, job: Job) => unknown) | undefined
  /** Runs jobs that are runs of a workflow. */
  readonly runStep: RunStep
  /** What becomes of a job that nothing here handles. */
  readonly leave: LeaveJob
}

export function createRun<Job extends RunningJob>({ queues, handler, runStep, leave }: Handlers<Job>): (job: Job) => unknown {
  if (handler !== undefined && typeof handler !== 'function') refuse('handler', 'a function', handler)

  return function runHandlerOfPgq(job) {
    const { run } = job.picked
    if (run !== undefined) return runStep(job, run)
    const queue = queues.get(job.queue_name)
    if (queue === undefined || handler === undefined) return leave(noHandler(job))
    const { payload_schema } = queue
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

function noHandler({ queue_name }: RunningJob): PgqError {
  return new PgqError('wrong_state', `no handler here for jobs of queue "${queue_name}" that are no runs of a workflow: they are left to other workers`)
}

/** A payload that does not fit will not fit at the next attempt either. */
export function refusePayload(error: unknown): unknown {
  if (error instanceof PgqError && error.code === 'payload_invalid') return failJob(error.message, { retry: false })
  throw error
}
