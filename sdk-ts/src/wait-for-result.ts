/** Waiting for jobs to finish, with one shared poller for each database. Mirrors functions/80-status.sql (`get_jobs`). */
import { backoff, sleep } from './backoff.ts'
import { PgqError } from './errors.ts'
import { expectWhole } from './expect.ts'
import type { Queryable } from './queryable.ts'
import { sqlStatus, type JobStatus, type Status } from './status.ts'

/** Options of `waitForResult`. */
export interface WaitOptions {
  /** Rejects with `wait_timed_out` after this long; Infinity for never. @default 60 000 */
  readonly timeout_milliseconds?: number
  /** Rejects with the signal's reason when it aborts. @default none */
  readonly signal?: AbortSignal
}

/** A finished job. */
export interface FinishedJob<T = unknown> extends JobStatus<T> {
  readonly state: 'complete' | 'dead' | 'cancelled'
}

/** Between two looks: short after a new job is awaited, then longer and longer. */
const FIRST_PAUSE_MILLISECONDS = 20
const LONGEST_PAUSE_MILLISECONDS = 1000

interface Waiter {
  readonly job_id: number
  /** Was it there at an earlier look? */
  was_known: boolean
  readonly resolve: (job: FinishedJob) => void
  readonly reject: (error: unknown) => void
}

interface Poller {
  add(waiter: Waiter): void
  remove(waiter: Waiter): void
}

const pollers = new WeakMap<Queryable, Map<string, Poller>>()

/** Resolves when the job is complete, dead or cancelled: the state says which. It looks first, then polls. */
export async function waitForJob(db: Queryable, schema_name: string, job_id: number, options: WaitOptions): Promise<FinishedJob> {
  const { timeout_milliseconds = 60_000, signal } = options
  expectWhole('job_id', job_id, 1)
  if (timeout_milliseconds !== Infinity) expectWhole('timeout_milliseconds', timeout_milliseconds, 0)
  signal?.throwIfAborted()

  const poller = pollerOf(db, schema_name)
  let timer: ReturnType<typeof setTimeout> | undefined
  let waiter: Waiter | undefined
  let onAbort = (): void => {}
  try {
    return await new Promise<FinishedJob>((resolve, reject) => {
      waiter = { job_id, was_known: false, resolve, reject }
      onAbort = () => reject(signal!.reason)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (timeout_milliseconds !== Infinity) {
        const late = (): void => reject(new PgqError('wait_timed_out', `job ${job_id} did not finish within ${timeout_milliseconds} ms`))
        // Timers count in 32 bits.
        timer = setTimeout(late, Math.min(timeout_milliseconds, 2 ** 31 - 1))
      }
      poller.add(waiter)
    })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    if (waiter) poller.remove(waiter)
  }
}

function pollerOf(db: Queryable, schema_name: string): Poller {
  let of_schema = pollers.get(db)
  if (!of_schema) pollers.set(db, (of_schema = new Map()))
  let poller = of_schema.get(schema_name)
  if (!poller) of_schema.set(schema_name, (poller = createPoller(sqlStatus(db, schema_name))))
  return poller
}

function createPoller(status: Status): Poller {
  const waiters = new Set<Waiter>()
  let is_running = false
  let looks = 0
  let nap = new AbortController()

  async function run(): Promise<void> {
    is_running = true
    while (waiters.size > 0) {
      nap = new AbortController()
      await look([...waiters])
      if (waiters.size > 0) await sleep(backoff(looks++, FIRST_PAUSE_MILLISECONDS, LONGEST_PAUSE_MILLISECONDS), nap.signal)
    }
    is_running = false
  }

  async function look(asked: readonly Waiter[]): Promise<void> {
    try {
      const { known, finished } = await status.finishedAmong([...new Set(asked.map((waiter) => waiter.job_id))])
      const known_ids = new Set(known)
      const jobs = new Map(finished.map((job) => [job.job_id, job as FinishedJob]))
      for (const waiter of asked) {
        const job = jobs.get(waiter.job_id)
        if (job) waiter.resolve(job)
        else if (!known_ids.has(waiter.job_id)) waiter.reject(goneError(waiter))
        else waiter.was_known = true
      }
    } catch (error) {
      // A lost connection passes: the waiters' own time limits bound it.
      if (error instanceof PgqError && error.code === 'connection_lost') return
      asked.forEach((waiter) => waiter.reject(error))
    }
  }

  return {
    add(waiter) {
      waiters.add(waiter)
      looks = 0
      nap.abort()
      if (!is_running) void run()
    },
    remove(waiter) {
      waiters.delete(waiter)
      if (waiters.size === 0) nap.abort()
    },
  }
}

function goneError({ job_id, was_known }: Waiter): PgqError {
  return new PgqError(
    'job_not_found',
    was_known ? `job ${job_id} was deleted, or finished in a queue that keeps no history of it` : `there is no job ${job_id}`,
  )
}
