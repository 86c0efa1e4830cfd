/** Brings results into the database in as few calls as can be. Mirrors functions/65-release.sql. */
import { PgqError } from './errors.ts'
import type { JobSource, PickedJob, PickRequest, ReleaseBatch } from './job-source.ts'
import { outcomeOfError, type JobOutcome } from './outcome.ts'
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
  const batch = batchOf(group)
  try {
    if (request) {
      const picked = await source.releaseAndPick(batch, request)
      for (const job of group) callbacks.on_recorded(job, job.outcome!)
      return picked
    }
    await releaseGroup(source, group, batch, callbacks)
    return []
  } catch (error) {
    if (!(error instanceof PgqError)) throw error
    if (request && error.code === 'lease_lost') await releaseGroup(source, group, batch, callbacks)
    else if (error.code === 'invalid_argument' || error.code === 'too_large') await recordOneByOne(source, group, callbacks)
    else throw error
    return request ? source.pick(request) : []
  }
}

async function releaseGroup(
  source: JobSource, group: readonly RunningJob[], batch: ReleaseBatch, callbacks: RecordCallbacks,
): Promise<void> {
  const lost = new Set(await source.release(batch))
  for (const job of group) {
    if (lost.has(job.job_id)) callbacks.on_lost(job)
    else callbacks.on_recorded(job, job.outcome!)
  }
}

/** One result of a batch was refused: the others must not suffer. */
async function recordOneByOne(source: JobSource, group: readonly RunningJob[], callbacks: RecordCallbacks): Promise<void> {
  for (const job of group) {
    try {
      await releaseGroup(source, [job], batchOf([job]), callbacks)
    } catch (error) {
      if (!(error instanceof PgqError) || (error.code !== 'invalid_argument' && error.code !== 'too_large')) throw error
      callbacks.on_refused(job, error)
      job.outcome = outcomeOfError(`its result could not be stored: ${error.message}`)
      await releaseGroup(source, [job], batchOf([job]), callbacks)
    }
  }
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
    result,
    outputs: result === 'complete' ? group.map((job) => job.outcome!.output) : undefined,
    errors: result === 'failed' ? group.map((job) => job.outcome!.error) : undefined,
    delay_milliseconds,
    retry,
  }
}
