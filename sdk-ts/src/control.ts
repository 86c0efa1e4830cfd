/** Steering jobs from outside: cancel, retry, redrive, reschedule. Mirrors functions/75-control.sql. */
import { expectWhole } from './expect.ts'
import type { Queryable } from './queryable.ts'
import { callOne, callVoid, namedArguments, param, quoteName, timeParam } from './sql-call.ts'

/** Options of a call that only can be part of a transaction. */
export interface TransactionOption {
  /** The call happens inside this transaction. @default a transaction of its own */
  readonly transaction?: Queryable
}

/** Options of `cancelJob`. */
export interface CancelJobOptions extends TransactionOption {
  /** Kept with the job. @default none */
  readonly reason?: string
}

/** Options of `retryJob`. */
export interface RetryJobOptions extends TransactionOption {
  /** Not before this moment. @default now */
  readonly start_after?: Date | string
}

/** Which dead jobs `redriveJobs` brings back. */
export interface RedriveJobsOptions extends TransactionOption {
  /** Only those whose error is like this: a pattern of ILIKE, `%` for anything. @default any error */
  readonly error_like?: string
  /** Only those that died at this moment or later. @default any time */
  readonly dead_since?: Date | string
  /** Only those that died at this moment or earlier. @default any time */
  readonly dead_until?: Date | string
  /** At most so many. @default all */
  readonly max_jobs?: number
  /** Only count them. @default false */
  readonly preview?: boolean
}

/** The calls of one schema. */
export interface Control {
  cancel(job_id: number, options: CancelJobOptions): Promise<void>
  retry(job_id: number, options: RetryJobOptions): Promise<void>
  redrive(queue_name: string, options: RedriveJobsOptions): Promise<number>
  reschedule(job_id: number, start_after: Date | string, options: TransactionOption): Promise<void>
}

export function sqlControl(db: Queryable, schema_name: string): Control {
  const schema = quoteName(schema_name)

  return {
    async cancel(job_id, { reason, transaction = db }) {
      expectWhole('job_id', job_id, 1)
      await callVoid(transaction, `SELECT ${schema}.cancel_job(${namedArguments({ job_id: 'bigint', reason: 'text' })})`, [
        param(job_id), param(reason),
      ])
    },

    async retry(job_id, { start_after, transaction = db }) {
      expectWhole('job_id', job_id, 1)
      await callVoid(transaction, `SELECT ${schema}.retry_job(${namedArguments({ job_id: 'bigint', start_after: 'timestamptz' })})`, [
        param(job_id), timeParam('start_after', start_after),
      ])
    },

    async redrive(queue_name, { error_like, dead_since, dead_until, max_jobs, preview = false, transaction = db }) {
      expectWhole('max_jobs', max_jobs, 1)
      const types = {
        queue_name: 'text', error_like: 'text', dead_since: 'timestamptz', dead_until: 'timestamptz', max_jobs: 'integer', preview: 'boolean',
      }
      return callOne(transaction, `SELECT ${schema}.redrive_jobs(${namedArguments(types)})::text`, [
        queue_name, param(error_like), timeParam('dead_since', dead_since), timeParam('dead_until', dead_until), param(max_jobs),
        param(preview),
      ])
    },

    async reschedule(job_id, start_after, { transaction = db }) {
      expectWhole('job_id', job_id, 1)
      const types = { job_id: 'bigint', start_after: 'timestamptz' }
      await callVoid(transaction, `SELECT ${schema}.reschedule_job(${namedArguments(types)})`, [
        param(job_id), timeParam('start_after', start_after),
      ])
    },
  }
}
