/** `JobSource`: all that a worker knows of the queue, so that jobs may come from elsewhere. Mirrors no SQL file. */
import type { ListenCallbacks, Queryable, Unlisten } from './queryable.ts'
import type { JobState, ReleaseOptions } from './release.ts'
import type { FinishedStep, RunPosition } from './run-state.ts'

/** How a job is released. */
export type ReleaseResult = 'complete' | 'failed' | 'paused' | 'cancelled'

/** The proof that a worker holds a job. */
export interface Lease {
  readonly job_id: number
  readonly lease_token: number
}

/** A job as it was picked. Moments are milliseconds since 1970. */
export interface PickedJob extends Lease {
  readonly queue_name: string
  /** Counts from 1. */
  readonly attempt: number
  readonly max_attempts: number
  readonly payload: unknown
  readonly headers: Readonly<Record<string, unknown>> | null
  readonly priority: number
  readonly group_key: string | null
  readonly added_at: number
  readonly lease_until: number
  /** Length of the lease. */
  readonly timeout_milliseconds: number
  /** Where it stands, if it is a run of a workflow. */
  readonly run?: RunPosition
}

/** What to pick. */
export interface PickRequest {
  readonly queue_names: readonly string[]
  readonly max_jobs: number
  /** Kept in the job's history. */
  readonly worker?: string | undefined
  /** Length of the lease of jobs that have none of their own. */
  readonly timeout_milliseconds?: number | undefined
  readonly ignore_max_concurrency?: boolean | undefined
}

/** Jobs released with the same result. */
export interface ReleaseBatch {
  readonly leases: readonly Lease[]
  readonly result: ReleaseResult
  /** JSON texts, one for each lease, undefined for none. */
  readonly outputs?: readonly (string | undefined)[] | undefined
  /** One for each lease. */
  readonly errors?: readonly (string | undefined)[] | undefined
  readonly delay_milliseconds?: number | undefined
  /** false with 'failed': dead at once. */
  readonly retry?: boolean | undefined
}

/** What a keep-alive tells of a job. */
export interface LeaseState {
  readonly job_id: number
  readonly state: 'running' | 'lost' | 'cancelled'
  /** ISO form; null unless running. */
  readonly lease_until: string | null
}

/** Options of `keepAlive`. */
export interface KeepAliveOptions {
  /** How long from now. @default as picked */
  readonly timeout_milliseconds?: number | undefined
  /** The call happens inside this transaction. @default as at the pick */
  readonly transaction?: Queryable | undefined
}

/** Where a worker's jobs come from and go back to. Calls reject with PgqError. */
export interface JobSource {
  /** About the size of one of the jobs picked last, in bytes as they came; 0 where it is not known. */
  readonly bytes_per_job: number
  /** Picks up to `max_jobs`; may be forgotten by a crash of the server (the jobs are ready again then). */
  pick(request: PickRequest): Promise<PickedJob[]>
  /** Releases those that are still held, and tells the ids of the others. */
  release(batch: ReleaseBatch): Promise<number[]>
  /** Finishes steps of runs that are still held, and tells the ids of the others. Undefined where there are no workflows. */
  readonly finishSteps?: (steps: readonly FinishedStep[]) => Promise<number[]>
  /** Releases one job, possibly in a transaction of the caller's; rejects with `lease_lost`. */
  releaseOne(lease: Lease, result: ReleaseResult, options: ReleaseOptions): Promise<JobState>
  /** Both in one transaction; rejects with `lease_lost` and does nothing if one lease is lost. */
  releaseAndPick(batch: ReleaseBatch, request: PickRequest): Promise<PickedJob[]>
  /** Lengthens leases and tells those that are lost. */
  keepAlive(leases: readonly Lease[]): Promise<LeaseState[]>
  /** The new end of one lease; rejects with `lease_lost` or `job_cancelled`. */
  keepOneAlive(lease: Lease, options: KeepAliveOptions): Promise<Date>
  /** Asks for notifications for the time given; gives the milliseconds until the next scheduled job within it, or null. */
  announceIdle(queue_names: readonly string[], worker: string, idle_milliseconds: number): Promise<number | null>
  announceBusy(worker: string): Promise<void>
  /** Housekeeping, never needed for correctness. */
  maintain(): Promise<void>
  /** Adds the jobs that are due by schedules; gives the milliseconds until the next one is due, or null. Undefined where there are no schedules. */
  readonly driveSchedules?: () => Promise<number | null>
  /** Calls `on_notify` with the name of a queue that has a new job. Undefined where it can only poll. */
  readonly listen: ((on_notify: (queue_name: string) => void, callbacks: ListenCallbacks) => Promise<Unlisten>) | undefined
}
