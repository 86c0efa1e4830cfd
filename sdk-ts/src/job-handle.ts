/** A picked job in the hands of someone who picks by hand. Mirrors functions/65-release.sql and 70-lease.sql. */
import type { JobSource, KeepAliveOptions, PickedJob, ReleaseResult } from './job-source.ts'
import type { Queryable } from './queryable.ts'
import type { JobState, ReleaseOptions } from './release.ts'

/** A picked job. */
export interface Job<T> {
  readonly job_id: number
  readonly queue_name: string
  readonly payload: T
  readonly headers: Readonly<Record<string, unknown>> | null
  /** Counts from 1. */
  readonly attempt: number
  /** Attempts in all. */
  readonly max_attempts: number
  readonly priority: number
  readonly group_key: string | null
  readonly added_at: Date
  /** The proof of the lease. */
  readonly lease_token: number
  /** When the lease runs out, unless kept alive. */
  readonly lease_until: Date
  /** Length of the lease. */
  readonly timeout_milliseconds: number
}

/** A picked job and what can be done with it. */
export interface JobHandle<T> {
  readonly job: Job<T>
  /** Gives the new state. Rejects with `lease_lost` (and so ends your transaction) if someone else holds the job by now. */
  release(result: ReleaseResult, options?: ReleaseOptions): Promise<JobState>
  /** Lengthens the lease and gives its new end. Rejects with `lease_lost`, or `job_cancelled`. */
  keepAlive(options?: KeepAliveOptions): Promise<Date>
}

/** Where the job was picked: releases go there by default. */
export interface PlaceOfPick {
  readonly source: JobSource
  readonly transaction: Queryable | undefined
}

export function jobOf<T>(picked: PickedJob, payload: T): Job<T> {
  return { ...picked, payload, added_at: new Date(picked.added_at), lease_until: new Date(picked.lease_until) }
}

export function createJobHandle<T>({ source, transaction }: PlaceOfPick, job: Job<T>): JobHandle<T> {
  return {
    job,
    release(result, options = {}) {
      return source.releaseOne(job, result, { ...(transaction && { transaction }), ...options })
    },
    keepAlive(options = {}) {
      return source.keepOneAlive(job, { transaction, ...options })
    },
  }
}
