/** Keeps the leases of all jobs that a worker holds, with one timer. Mirrors functions/70-lease.sql. */
import { PgqError, toPgqError } from './errors.ts'
import type { JobSource } from './job-source.ts'
import type { RunningJob } from './worker-job.ts'

export interface LeaseKeeperOptions<Held extends RunningJob> {
  readonly source: Pick<JobSource, 'keepAlive'>
  /** All jobs held: in line, running, or finished and not recorded. The oldest first. */
  readonly held: ReadonlySet<Held>
  readonly max_run_milliseconds: number | undefined
  /** The lease is gone: nothing that the job gives can be recorded any more. */
  on_lost(job: Held, reason: PgqError): void
  on_too_long(job: Held, reason: PgqError): void
  on_error(error: PgqError): void
}

export interface LeaseKeeper<Held extends RunningJob> {
  /** A job is held, or has begun: there may be something to do sooner. */
  watch(job: Held): void
  stop(): void
}

/** After a failed call it tries again this soon. */
const RETRY_MILLISECONDS = 500
/** What is due this soon goes with what is due now, as a share of its lease. */
const EARLY_SHARE = 1 / 12

export function createLeaseKeeper<Held extends RunningJob>(options: LeaseKeeperOptions<Held>): LeaseKeeper<Held> {
  const { source, held, max_run_milliseconds } = options
  let timer: ReturnType<typeof setTimeout> | undefined
  let armed_for = Infinity
  let is_busy = false
  let is_stopped = false

  function watch(job: Held): void {
    arm(dueAt(job))
  }

  function dueAt(job: Held): number {
    const has_limit = max_run_milliseconds !== undefined && job.started_at > 0 && job.outcome === undefined
    return has_limit ? Math.min(job.keep_at, job.started_at + max_run_milliseconds) : job.keep_at
  }

  function arm(at: number): void {
    if (at >= armed_for || is_busy || is_stopped) return
    clearTimeout(timer)
    armed_for = at
    timer = setTimeout(() => void tick(), Math.max(1, at - performance.now()))
  }

  async function tick(): Promise<void> {
    is_busy = true
    armed_for = Infinity
    const now = performance.now()
    let has_failed = false
    try {
      if (max_run_milliseconds !== undefined) endLongRuns(now, max_run_milliseconds)
      await keepAlive(now)
    } catch (error) {
      options.on_error(toPgqError(error))
      has_failed = true
    }
    is_busy = false
    // The next that is due. After a failure not at once; nor where a release is under way, which may yet fail.
    let next = Infinity
    const later = performance.now() + RETRY_MILLISECONDS
    for (const job of held) next = Math.min(next, isBeingReleased(job) ? Math.max(dueAt(job), later) : dueAt(job))
    if (next < Infinity) arm(has_failed ? Math.max(next, later) : next)
  }

  async function keepAlive(now: number): Promise<void> {
    const due: Held[] = []
    for (const job of held) {
      if (!isBeingReleased(job) && job.keep_at - job.timeout_milliseconds * EARLY_SHARE <= now) due.push(job)
    }
    if (due.length === 0) return
    const states = new Map((await source.keepAlive(due)).map((lease) => [lease.job_id, lease.state]))
    for (const job of due) {
      const state = states.get(job.job_id)
      if (state === 'running') job.kept_at = now
      // It may have been released since by the handler, or just now by the worker.
      else if (!isBeingReleased(job)) options.on_lost(job, lossOf(job, state))
    }
  }

  function endLongRuns(now: number, limit: number): void {
    for (const job of held) {
      if (job.started_at > 0 && !job.outcome && !job.is_released && job.started_at + limit <= now) {
        options.on_too_long(job, new PgqError('job_ran_too_long', `job ${job.job_id} ran longer than ${limit} ms`))
      }
    }
  }

  return {
    watch,
    stop() {
      is_stopped = true
      clearTimeout(timer)
    },
  }
}

/** Then a keep-alive would wait for the row, and find the lease gone although nothing is lost. */
function isBeingReleased(job: RunningJob): boolean {
  return job.is_released || job.is_recording || job.is_over
}

function lossOf(job: RunningJob, state: string | undefined): PgqError {
  return state === 'cancelled'
    ? new PgqError('job_cancelled', `job ${job.job_id} was cancelled`)
    : new PgqError('lease_lost', `the lease of job ${job.job_id} was lost`)
}
