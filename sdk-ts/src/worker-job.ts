/** A job in the hands of a worker. Mirrors the leases of functions/55-pick.sql and 70-lease.sql. */
import { PgqError } from './errors.ts'
import type { JobSource, KeepAliveOptions, PickedJob, ReleaseResult } from './job-source.ts'
import type { JobOutcome } from './outcome.ts'
import type { JobState, ReleaseOptions } from './release.ts'

/** What every handler gets beside the payload: in a worker, and behind an endpoint. */
export interface DispatchedJobContext {
  readonly job_id: number
  readonly queue_name: string
  /** Counts from 1. */
  readonly attempt: number
  /** Attempts in all. */
  readonly max_attempts: number
  readonly headers: Readonly<Record<string, unknown>> | null
  /** The proof of the lease. */
  readonly lease_token: number
  /** How long the job has: in a worker the length of the lease, which it keeps alive. */
  readonly timeout_milliseconds: number
  /**
   * Aborts with a PgqError as reason when the work is in vain: `lease_lost`, `job_cancelled`, `job_ran_too_long`, or
   * `worker_stopped` after a hard stop.
   */
  readonly signal: AbortSignal
  /** Lengthens the lease and gives its new end: only needed before work that blocks the process. Rejects with `lease_lost`. */
  keepAlive(options?: KeepAliveOptions): Promise<Date>
  /**
   * Releases the job from within the handler, e.g. in the transaction of your own writes, so that both happen or neither:
   * `await job.release('complete', { transaction })`. It is then not released again, unless the handler throws
   * afterwards (the transaction may have rolled back): then it fails the job if it is still held.
   */
  release(result: ReleaseResult, options?: ReleaseOptions): Promise<JobState>
}

/** What a worker's handler gets beside the payload. */
export interface JobContext extends DispatchedJobContext {
  readonly priority: number
  readonly group_key: string | null
  readonly added_at: Date
}

/** What of a job is known to who runs it, be it picked or dispatched. */
export type LeasedJob = Pick<
  PickedJob, 'job_id' | 'lease_token' | 'queue_name' | 'attempt' | 'max_attempts' | 'payload' | 'headers' | 'timeout_milliseconds' | 'run'
>

/** A class for once: one object for each job, with no closures of its own, because there may be 100 000 a second. */
export class RunningJob<Leased extends LeasedJob = LeasedJob> implements DispatchedJobContext {
  readonly job_id: number
  readonly lease_token: number
  readonly timeout_milliseconds: number
  readonly picked: Leased
  readonly #source: Pick<JobSource, 'keepOneAlive' | 'releaseOne'>
  #controller: AbortController | undefined
  /** Moments on the clock of performance.now(). */
  readonly picked_at: number
  /** When its lease was last known to begin. */
  kept_at: number
  started_at = 0
  /** Set when the handler has ended. */
  outcome: JobOutcome | undefined
  /** The handler released it. */
  is_released = false
  /** Its result is on its way. */
  is_recording = false
  /** Its result is in the database, or will never be: nothing more is to be done. */
  is_over = false

  constructor(picked: Leased, source: Pick<JobSource, 'keepOneAlive' | 'releaseOne'>, picked_at: number) {
    this.job_id = picked.job_id
    this.lease_token = picked.lease_token
    this.timeout_milliseconds = picked.timeout_milliseconds
    this.picked = picked
    this.picked_at = picked_at
    this.kept_at = picked_at
    this.#source = source
  }

  get queue_name(): string {
    return this.picked.queue_name
  }
  get attempt(): number {
    return this.picked.attempt
  }
  get max_attempts(): number {
    return this.picked.max_attempts
  }
  get headers(): Readonly<Record<string, unknown>> | null {
    return this.picked.headers
  }

  /** Made when first asked for: most handlers never do. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  /** When to keep it alive: after a third of its lease. */
  get keep_at(): number {
    return this.kept_at + this.timeout_milliseconds / 3
  }

  abort(reason: PgqError): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }

  async keepAlive(options: KeepAliveOptions = {}): Promise<Date> {
    const now = performance.now()
    const lease_until = await this.#source.keepOneAlive(this, options)
    if (!options.transaction) this.kept_at = now
    return lease_until
  }

  release(result: ReleaseResult, options: ReleaseOptions = {}): Promise<JobState> {
    return this.releaseBy(() => this.#source.releaseOne(this, result, options))
  }

  /** Released by this call. */
  async releaseBy(release: () => Promise<JobState>): Promise<JobState> {
    // Set first: the keep-alive must not wait for the row that a transaction of the user holds.
    this.is_released = true
    try {
      return await release()
    } catch (error) {
      this.is_released = false
      throw error
    }
  }
}

/** A job that a worker has picked. */
export class HeldJob extends RunningJob<PickedJob> implements JobContext {
  get priority(): number {
    return this.picked.priority
  }
  get group_key(): string | null {
    return this.picked.group_key
  }
  get added_at(): Date {
    return new Date(this.picked.added_at)
  }
}
