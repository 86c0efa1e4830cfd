/** Releasing one job with a result. Mirrors functions/65-release.sql. */
import { expectOneOf, expectWhole } from './expect.ts'
import type { ReleaseResult } from './job-source.ts'
import type { Queryable } from './queryable.ts'
import { callOne, jsonParam, namedArguments, param, quoteName } from './sql-call.ts'

/** The state of a job. */
export type JobState = 'scheduled' | 'ready' | 'running' | 'held' | 'complete' | 'dead' | 'cancelled'

/** Options of a release. */
export interface ReleaseOptions {
  /** The release happens inside this transaction: what else you write in it commits with it, or neither does. @default a transaction of its own */
  readonly transaction?: Queryable
  /** The job's result, kept for reading (JSON); only with 'complete'. @default none */
  readonly output?: unknown
  /** Why it failed, kept in its history; only with 'failed'. @default none */
  readonly error?: string
  /** Not before this long from now, with 'failed' and 'paused'. @default the queue's backoff for 'failed', at once for 'paused' */
  readonly delay_milliseconds?: number
  /** false with 'failed': dead at once, whatever attempts are left. @default true */
  readonly retry?: boolean
}

/** Options of `releaseJob`, which does not know the lease. */
export interface ReleaseJobOptions extends ReleaseOptions {
  /** The lease to prove. Without it whoever knows the id may release the job while it runs. @default none */
  readonly lease_token?: number
}

const RESULTS: readonly ReleaseResult[] = ['complete', 'failed', 'paused', 'cancelled']

/** Releases a job and gives its new state. Rejects with `lease_lost`, `job_not_found` or `job_in_another_state`. */
export async function releaseOne(
  db: Queryable, schema_name: string, job_id: number, result: ReleaseResult, options: ReleaseJobOptions,
): Promise<JobState> {
  expectWhole('job_id', job_id, 1)
  expectOneOf('result', result ?? 'nothing', RESULTS)
  expectWhole('delay_milliseconds', options.delay_milliseconds, 0)
  const q = `SELECT to_json(${quoteName(schema_name)}.release_job(${namedArguments({
    job_id: 'bigint', result: 'text', lease_token: 'bigint', output: 'jsonb', error: 'text', delay_milliseconds: 'bigint', retry: 'boolean',
  })}))::text AS r`
  return callOne(options.transaction ?? db, q, [
    param(job_id), result, param(options.lease_token), jsonParam('output', options.output), param(storable(options.error)),
    param(options.delay_milliseconds), param(options.retry ?? true),
  ])
}

/** Text as Postgres can hold it: without zero characters. */
export function storable(text: string | undefined): string | undefined {
  return text?.replaceAll('\0', '�')
}
