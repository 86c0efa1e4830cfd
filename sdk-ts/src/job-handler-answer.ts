/** How an endpoint answers: what became of the job, as an HTTP response. Mirrors functions/77-dispatch.sql (`answer_requests`). */
import type { AddJobOptions } from './add.ts'
import { refuse } from './expect.ts'
import { COMPLETE, outcomeOfError, outcomeOfValue, type JobOutcome } from './outcome.ts'
import { toJson } from './sql-call.ts'

/** An answer of this type is no output, but says how to release the job. */
export const ANSWER_TYPE = 'application/vnd.pgq+json'
/** SQL keeps no more of an error. */
const MAX_ERROR_LENGTH = 4000

/** A job that is added together with the completion of another: see `completeJobAndAdd`. */
export interface FollowUpJob extends Omit<AddJobOptions, 'transaction'> {
  readonly queue_name: string
  readonly payload: unknown
}

/** A job that is complete, and those that follow it. Only an endpoint's handler can return it. */
export class CompleteAndAdd {
  /** JSON text. */
  readonly output: string | undefined
  readonly jobs: readonly FollowUpJob[]

  constructor(output: unknown, jobs: readonly FollowUpJob[]) {
    if (!Array.isArray(jobs)) refuse('jobs', 'an array', jobs)
    this.output = output === undefined ? undefined : toJson('output', output)
    this.jobs = jobs
  }

  /** A worker would take it for an output. */
  toJSON(): never {
    throw new Error('completeJobAndAdd is for handlers of createJobHandler: in a worker add jobs and release in a transaction')
  }
}

/**
 * The job is done, with `output` as its result, and these jobs are added in the same transaction: all or nothing.
 * `return completeJobAndAdd(invoice, [{ queue_name: 'mail', payload: { to } }])`, in handlers of `createJobHandler`.
 */
export function completeJobAndAdd(output: unknown, jobs: readonly FollowUpJob[]): CompleteAndAdd {
  return new CompleteAndAdd(output, jobs)
}

/** What a handler ended with; undefined when it has released the job itself. */
export type HandlerResult = JobOutcome | CompleteAndAdd | undefined

/** Runs it to its end. */
export async function resultOf(run: () => unknown, isReleased: () => boolean): Promise<HandlerResult> {
  try {
    const value = await run()
    if (isReleased()) return undefined
    if (value instanceof CompleteAndAdd) return value
    return value === undefined ? COMPLETE : outcomeOfValue(value)
  } catch (error) {
    return outcomeOfError(error)
  }
}

/** The answer that makes a dispatcher release the job so: with `is_manual_release` only a document does. */
export function responseOf(result: HandlerResult, is_manual_release: boolean): Response {
  if (result === undefined) return new Response(null, { status: 204 })
  if (result instanceof CompleteAndAdd) return answerDocument({ result: 'complete', output: rawOf(result.output), jobs: result.jobs.map(jobDocument) })
  const { output, next, error, retry, delay_milliseconds } = result
  if (next !== undefined) return answerDocument({ result: 'complete', output: rawOf(output), next: rawOf(next) })
  if (result.result === 'complete') {
    if (is_manual_release) return answerDocument({ result: 'complete', output: rawOf(output) })
    return output === undefined
      ? new Response(null, { status: 204 })
      : new Response(output, { status: 200, headers: { 'content-type': 'application/json' } })
  }
  return answerDocument({
    result: result.result,
    ...(error !== undefined && { error: error.slice(0, MAX_ERROR_LENGTH) }),
    ...(delay_milliseconds !== undefined && { delay_milliseconds }),
    ...(!retry && { retry }),
  })
}

function answerDocument(document: object): Response {
  return new Response(JSON.stringify(document), { status: 200, headers: { 'content-type': ANSWER_TYPE } })
}

function rawOf(json: string | undefined): unknown {
  return json === undefined ? undefined : JSON.parse(json)
}

/** SQL knows one name for the number of attempts. */
function jobDocument({ retries, ...job }: FollowUpJob): object {
  return { ...job, ...(retries !== undefined && { max_attempts: job.max_attempts ?? retries }) }
}
