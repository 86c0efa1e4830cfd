/** Brings results into the database in as few calls as can be. Mirrors functions/65-release.sql and 58-step.sql. */
import { PgqError } from './errors.ts'
import type { JobSource, PickedJob, PickRequest, ReleaseBatch, ReleaseResult } from './job-source.ts'
import { outcomeOfError, type JobOutcome } from './outcome.ts'
import type { FinishedStep } from './run-state.ts'
import type { RunningJob } from './worker-job.ts'

/** What is told while results are recorded. */
export interface RecordCallbacks {
  on_recorded(job: RunningJob, outcome: JobOutcome): void
  /** The lease was no longer held: the result is void, or was recorded by a call whose answer was lost. */
  on_lost(job: RunningJob): void
  /** The result itself could not be stored (e.g. it has a zero character): the job fails instead. */
  on_refused(job: RunningJob, error: PgqError): void
}

/**
 * Records the outcomes of `jobs` and, with `request`, picks the next in the same call. Jobs that are done with are told
 * to the callbacks; when it rejects, the others are not recorded, or nobody knows.
 */
export async function recordResults(
  source: JobSource, jobs: readonly RunningJob[], request: PickRequest | undefined, callbacks: RecordCallbacks,
): Promise<PickedJob[]> {
  const groups = groupByOutcome(jobs)
  // The largest goes with the pick.
  for (const group of groups.slice(1)) await recordGroup(source, group, undefined, callbacks)
  return recordGroup(source, groups[0]!, request, callbacks)
}

async function recordGroup(
  source: JobSource, group: readonly RunningJob[], request: PickRequest | undefined, callbacks: RecordCallbacks,
): Promise<PickedJob[]> {
  const is_one_call = request !== undefined && group[0]!.outcome!.result !== 'next'
  try {
    if (is_one_call) {
      const picked = await source.releaseAndPick(batchOf(group), request)
      for (const job of group) callbacks.on_recorded(job, job.outcome!)
      return picked
    }
    await releaseGroup(source, group, callbacks)
  } catch (error) {
    if (is_one_call && isLoss(error)) await releaseGroup(source, group, callbacks)
    else if (isRefusal(error)) await recordOneByOne(source, group, callbacks)
    else throw error
  }
  return request ? source.pick(request) : []
}

async function releaseGroup(
  source: JobSource, group: readonly RunningJob[], callbacks: RecordCallbacks,
): Promise<void> {
  const is_next = group[0]!.outcome!.result === 'next'
  const lost = new Set(await (is_next ? source.finishSteps!(group.map(stepOf)) : source.release(batchOf(group))))
  for (const job of group) {
    if (lost.has(job.job_id)) callbacks.on_lost(job)
    else callbacks.on_recorded(job, job.outcome!)
  }
}

/** One result of a batch was refused: the others must not suffer. */
async function recordOneByOne(source: JobSource, group: readonly RunningJob[], callbacks: RecordCallbacks): Promise<void> {
  for (const job of group) {
    try {
      await releaseGroup(source, [job], callbacks)
    } catch (error) {
      if (!isRefusal(error)) throw error
      callbacks.on_refused(job, error)
      job.outcome = outcomeOfError(`its result could not be stored: ${error.message}`)
      await releaseGroup(source, [job], callbacks)
    }
  }
}

function isLoss(error: unknown): boolean {
  return error instanceof PgqError && error.code === 'lease_lost'
}

/** The result itself cannot be stored; of a step also what it asks for. */
function isRefusal(error: unknown): error is PgqError {
  return error instanceof PgqError && ['invalid_argument', 'too_large', 'workflow_not_found'].includes(error.code)
}

/** Jobs that one call can release together; the largest group first. */
function groupByOutcome(jobs: readonly RunningJob[]): RunningJob[][] {
  const first = jobs[0]!.outcome!
  if (jobs.every((job) => isAlike(job.outcome!, first))) return [jobs as RunningJob[]]
  const groups = new Map<string, RunningJob[]>()
  for (const job of jobs) {
    const { result, delay_milliseconds, retry } = job.outcome!
    const key = `${result} ${delay_milliseconds} ${retry}`
    const group = groups.get(key)
    if (group) group.push(job)
    else groups.set(key, [job])
  }
  return [...groups.values()].sort((a, b) => b.length - a.length)
}

function isAlike(a: JobOutcome, b: JobOutcome): boolean {
  return a === b || (a.result === b.result && a.delay_milliseconds === b.delay_milliseconds && a.retry === b.retry)
}

function batchOf(group: readonly RunningJob[]): ReleaseBatch {
  const { result, delay_milliseconds, retry } = group[0]!.outcome!
  return {
    leases: group,
    result: result as ReleaseResult, // Those with 'next' are finished as steps.
    outputs: result === 'complete' ? group.map((job) => job.outcome!.output) : undefined,
    errors: result === 'failed' ? group.map((job) => job.outcome!.error) : undefined,
    delay_milliseconds,
    retry,
  }
}

function stepOf({ job_id, lease_token, outcome }: RunningJob): FinishedStep {
  return { job_id, lease_token, output: outcome!.output, next: outcome!.next }
}
