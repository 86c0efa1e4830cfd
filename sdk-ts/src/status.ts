/** Reading jobs and queues. Mirrors functions/80-status.sql. */
import type { TimeoutResult } from './add.ts'
import { expectOneOf, expectWhole } from './expect.ts'
import type { Queryable } from './queryable.ts'
import type { JobState } from './release.ts'
import { call, callOne, namedArguments, numbersParam, param, quoteName } from './sql-call.ts'

/** One attempt at a job. */
export interface JobAttempt {
  /** Counts from 1. */
  readonly attempt: number
  readonly picked_at: Date
  readonly ended_at: Date
  /** How long it took. */
  readonly milliseconds: number
  readonly worker: string | null
  /** complete, failed, paused, cancelled or timed out, as SQL words it; of a run also compensated. */
  readonly outcome: string
  /** Of a run: at which step. */
  readonly step?: string
  readonly error: string | null
}

/** All that is known of a job, live or finished. `null` is SQL's NULL: not set, or not yet. */
export interface JobStatus<T = unknown> {
  readonly job_id: number
  readonly queue_name: string
  readonly state: JobState
  readonly payload: T
  readonly headers: Readonly<Record<string, unknown>> | null
  readonly priority: number
  readonly attempt: number
  readonly max_attempts: number
  readonly start_after: Date | null
  readonly added_at: Date
  readonly picked_at: Date | null
  readonly lease_until: Date | null
  readonly finished_at: Date | null
  readonly worker: string | null
  /** What a held job waits for. */
  readonly held_by: string | null
  readonly group_key: string | null
  readonly unique_key: string | null
  readonly timeout_milliseconds: number | null
  readonly timeout_with_result: TimeoutResult | null
  /** What it was completed with. */
  readonly output: unknown
  /** The last error. */
  readonly error: string | null
  /** Oldest first; of a run also the steps that are done. */
  readonly attempts: readonly JobAttempt[]
  /** Of a run: the workflow, the version that it keeps, and the step at which it stands or stood last. */
  readonly workflow: string | null
  readonly workflow_version: number | null
  readonly step: string | null
  /** The run that has started this job. */
  readonly parent_job_id: number | null
}

/** A queue in figures. */
export interface QueueStats {
  readonly queue_name: string
  readonly ready: number
  readonly scheduled: number
  readonly running: number
  readonly held: number
  readonly dead: number
  /** How long the oldest ready job has been waiting; null when none is. */
  readonly oldest_ready_milliseconds: number | null
  readonly finished_last_minute: number
  /** 0 to 1; null when nothing finished. */
  readonly failed_share_last_minute: number | null
  readonly is_paused: boolean
}

/** Which jobs `listJobs` gives. */
export interface ListJobsOptions {
  /** Only those in this state. @default any */
  readonly state?: JobState
  /** Only those older than this one: where an earlier list ended. @default from the newest */
  readonly before_job_id?: number
  /** How many are read at a time, 1 to 10 000. @default 100 */
  readonly page_size?: number
  /** Ends the list with an error when it aborts. @default none */
  readonly signal?: AbortSignal
}

const STATES: readonly JobState[] = ['scheduled', 'ready', 'running', 'held', 'complete', 'dead', 'cancelled']

/** The calls of one schema. */
export interface Status {
  get(job_id: number, transaction?: Queryable): Promise<JobStatus>
  /** Those of the jobs that are finished, and the ids of those that are known at all. */
  finishedAmong(job_ids: readonly number[]): Promise<{ known: number[]; finished: JobStatus[] }>
  list(queue_name: string, options: ListJobsOptions): AsyncGenerator<JobStatus, void, undefined>
  stats(queue_name: string): Promise<QueueStats>
}

export function sqlStatus(db: Queryable, schema_name: string): Status {
  const schema = quoteName(schema_name)

  return {
    async get(job_id, transaction = db) {
      expectWhole('job_id', job_id, 1)
      const q = `SELECT to_json(j)::text AS r FROM ${schema}.get_job(job_id => $1::text::bigint) AS j`
      return statusOf(await callOne(transaction, q, [param(job_id)]))
    },

    async finishedAmong(job_ids) {
      const q = `SELECT CASE WHEN j.state IN ('complete', 'dead', 'cancelled') THEN to_json(j) ELSE to_json(j.job_id) END::text AS r
        FROM ${schema}.get_jobs(job_ids => $1::text::bigint[]) AS j`
      const rows = await call<JobStatusRow | number>(db, q, [numbersParam(job_ids)])
      return {
        known: rows.map((row) => (typeof row === 'number' ? row : row.job_id)),
        finished: rows.filter((row) => typeof row !== 'number').map(statusOf),
      }
    },

    async *list(queue_name, { state, before_job_id, page_size = 100, signal }) {
      expectOneOf('state', state, STATES)
      expectWhole('page_size', page_size, 1, 10_000)
      const q = `SELECT to_json(j)::text AS r FROM ${schema}.list_jobs(${namedArguments({
        queue_name: 'text', state: 'text', before_job_id: 'bigint', max_jobs: 'integer',
      })}) AS j`
      for (let before = before_job_id; ; ) {
        signal?.throwIfAborted()
        const page = await call<JobStatusRow>(db, q, [queue_name, param(state), param(before), param(page_size)])
        for (const row of page) yield statusOf(row)
        if (page.length < page_size) return
        before = page.at(-1)!.job_id
      }
    },

    stats(queue_name) {
      return callOne(db, `SELECT to_json(s)::text AS r FROM ${schema}.queue_stats(queue_name => $1::text) AS s`, [queue_name])
    },
  }
}

type Moments = 'start_after' | 'added_at' | 'picked_at' | 'lease_until' | 'finished_at' | 'attempts'
type AttemptRow = Omit<JobAttempt, 'picked_at' | 'ended_at' | 'worker' | 'error'> & {
  picked_at: string
  ended_at: string
  worker?: string
  error?: string
}
type JobStatusRow = Omit<JobStatus, Moments> & {
  start_after: string | null
  added_at: string
  picked_at: string | null
  lease_until: string | null
  finished_at: string | null
  attempts: AttemptRow[] | null
}

function statusOf(row: JobStatusRow): JobStatus {
  return {
    ...row,
    start_after: date(row.start_after),
    added_at: new Date(row.added_at),
    picked_at: date(row.picked_at),
    lease_until: date(row.lease_until),
    finished_at: date(row.finished_at),
    attempts: (row.attempts ?? []).map((attempt) => ({
      ...attempt,
      picked_at: new Date(attempt.picked_at),
      ended_at: new Date(attempt.ended_at),
      worker: attempt.worker ?? null,
      error: attempt.error ?? null,
    })),
  }
}

function date(text: string | null): Date | null {
  return text === null ? null : new Date(text)
}
