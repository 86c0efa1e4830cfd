/** `PgQueue`: one queue, with typed payloads. Mirrors functions/50-add.sql, 55-pick.sql, 65-release.sql and the status functions. */
import { sqlJobSink, type AddedJob, type AddJobOptions, type AddJobsOptions, type JobSink } from './add.ts'
import {
  sqlControl, type CancelJobOptions, type Control, type RedriveJobsOptions, type RetryJobOptions, type TransactionOption,
} from './control.ts'
import { PgqError } from './errors.ts'
import { expectText, expectWhole, refuse } from './expect.ts'
import { createJobHandle, jobOf, type JobHandle } from './job-handle.ts'
import type { PickedJob, ReleaseResult } from './job-source.ts'
import { fitsSchema, parsePayload, type PayloadSchema } from './payload-schema.ts'
import { isQueryable, type Queryable } from './queryable.ts'
import { PgQueueConfig } from './queue-config.ts'
import { releaseOne, type JobState, type ReleaseJobOptions } from './release.ts'
import { DEFAULT_SCHEMA } from './sql-call.ts'
import { sqlJobSource, type SqlJobSource } from './sql-job-source.ts'
import { sqlStatus, type JobStatus, type ListJobsOptions, type QueueStats, type Status } from './status.ts'
import { waitForJob, type FinishedJob, type WaitOptions } from './wait-for-result.ts'

/** What may be given to `new PgQueue` in place of the schema name. */
export interface PgQueueOptions<T, Parsed = T> {
  /** The schema that pgq lives in. @default 'pgq' */
  readonly schema_name?: string
  /** Checks payloads when they are added and parses them when they are picked: Zod, or any Standard Schema. @default none */
  readonly payload_schema?: PayloadSchema<T, Parsed>
}

/** Options of `pickJobs`. */
export interface PickJobsOptions {
  /** Kept in the jobs' history. @default none */
  readonly worker?: string
  /** Length of the lease of jobs that have none of their own. @default the queue's timeout_milliseconds (30 000) */
  readonly timeout_milliseconds?: number
  /** Pick also above the queue's max_concurrency. @default false */
  readonly ignore_max_concurrency?: boolean
  /** The pick happens inside this transaction, and so do the releases of what it gives, unless told otherwise. @default a transaction of its own */
  readonly transaction?: Queryable
}

/** A job of a queue as an endpoint gets it in the body of a request. */
export interface DispatchedJob<T> {
  readonly job_id: number
  readonly queue_name: string
  readonly payload: T
}

/**
 * A queue whose payloads are of type `T`.
 *
 * ```ts
 * const queue = new PgQueue<{ to: string }>(db, 'mail')
 * const checked = new PgQueue(db, 'mail', { payload_schema: z.object({ to: z.string() }) })
 * await queue.addJob({ to: 'bob@example.org' })
 * ```
 * `Parsed` is what workers get: the same, or what the schema makes of it. All methods reject with `PgqError`.
 */
export class PgQueue<T = unknown, Parsed = T> {
  readonly db: Queryable
  readonly queue_name: string
  readonly schema_name: string
  readonly payload_schema: PayloadSchema<T, Parsed> | undefined
  readonly #source: SqlJobSource
  readonly #sink: JobSink
  readonly #control: Control
  readonly #status: Status

  constructor(db: Queryable, queue_name: string, schema_name_or_options: string | PgQueueOptions<T, Parsed> = {}) {
    if (!isQueryable(db)) refuse('db', 'a Queryable, e.g. a PostgresDb', db)
    expectText('queue_name', queue_name)
    const options = typeof schema_name_or_options === 'string' ? { schema_name: schema_name_or_options } : schema_name_or_options
    this.db = db
    this.queue_name = queue_name
    this.schema_name = options.schema_name ?? DEFAULT_SCHEMA
    this.payload_schema = 'payload_schema' in options ? options.payload_schema : undefined
    this.#source = sqlJobSource(db, this.schema_name)
    this.#sink = sqlJobSink(db, this.schema_name)
    this.#control = sqlControl(db, this.schema_name)
    this.#status = sqlStatus(db, this.schema_name)
  }

  /** Adds a job. The queue is made by its first job. Rejects with `payload_invalid` if the payload does not fit the schema. */
  async addJob(payload: T, options: AddJobOptions = {}): Promise<AddedJob> {
    await parsePayload(this.payload_schema, payload, this.queue_name)
    return this.#sink.add(this.queue_name, payload, options)
  }

  /** Adds any number of jobs in one call, all or none; gives their ids in the order of the payloads. */
  async addJobs(payloads: readonly T[], options: AddJobsOptions = {}): Promise<number[]> {
    if (!Array.isArray(payloads)) refuse('payloads', 'an array', payloads)
    if (this.payload_schema) for (const payload of payloads) await parsePayload(this.payload_schema, payload, this.queue_name)
    return this.#sink.addMany(this.queue_name, payloads, options)
  }

  /** Picks the next job, or gives undefined when none is ready. */
  async pickNextJob(ignore_max_concurrency = false, transaction?: Queryable): Promise<JobHandle<Parsed> | undefined> {
    for (;;) {
      const { handles, picked } = await this.#pick(1, { ignore_max_concurrency, ...(transaction && { transaction }) })
      // What was picked may have been a job whose payload does not fit: it is dead now, and the next has its turn.
      if (handles.length > 0 || picked === 0) return handles[0]
    }
  }

  /** Picks up to `max_jobs` jobs. */
  async pickJobs(max_jobs: number, options: PickJobsOptions = {}): Promise<JobHandle<Parsed>[]> {
    expectWhole('max_jobs', max_jobs, 1)
    return (await this.#pick(max_jobs, options)).handles
  }

  /**
   * Releases a running job by its id, and gives its new state. Without `lease_token` this is the weaker form: it is not
   * checked who runs it. The third argument is a transaction, or options.
   */
  releaseJob(job_id: number, result: ReleaseResult, transaction_or_options?: Queryable | ReleaseJobOptions): Promise<JobState> {
    const options = isQueryable(transaction_or_options) ? { transaction: transaction_or_options } : (transaction_or_options ?? {})
    return releaseOne(this.db, this.schema_name, job_id, result, options)
  }

  /** Cancels a job, a running one too: its worker learns of it at its next keep-alive. `job_in_another_state` when finished. */
  cancelJob(job_id: number, options: CancelJobOptions = {}): Promise<void> {
    return this.#control.cancel(job_id, options)
  }

  /** Brings a finished job back: its attempts start anew, its history stays. `job_in_another_state` when it is live. */
  retryJob(job_id: number, options: RetryJobOptions = {}): Promise<void> {
    return this.#control.retry(job_id, options)
  }

  /** Brings dead jobs of the queue back, and gives their number. */
  redriveJobs(options: RedriveJobsOptions = {}): Promise<number> {
    return this.#control.redrive(this.queue_name, options)
  }

  /** Changes when a waiting job may start. `job_in_another_state` when it is running or finished. */
  rescheduleJob(job_id: number, start_after: Date | string, options: TransactionOption = {}): Promise<void> {
    return this.#control.reschedule(job_id, start_after, options)
  }

  /** All that is known of a job. `job_not_found` when unknown, or finished in a queue that keeps no history. */
  getJob(job_id: number, transaction?: Queryable): Promise<JobStatus<T>> {
    return this.#status.get(job_id, transaction) as Promise<JobStatus<T>>
  }

  /** The jobs of the queue, newest first: `for await (const job of queue.listJobs({ state: 'dead' })) …`. Reads page by page. */
  listJobs(options: ListJobsOptions = {}): AsyncGenerator<JobStatus<T>, void, undefined> {
    return this.#status.list(this.queue_name, options) as AsyncGenerator<JobStatus<T>, void, undefined>
  }

  /** The queue in figures. `queue_not_found` before its first job. */
  stats(): Promise<QueueStats> {
    return this.#status.stats(this.queue_name)
  }

  /** Resolves when the job has finished: see `state`, `output` and `error`. All that wait on one `db` share one poller. */
  waitForResult(job_id: number, options: WaitOptions = {}): Promise<FinishedJob<T>> {
    return waitForJob(this.db, this.schema_name, job_id, options) as Promise<FinishedJob<T>>
  }

  /** Is this parsed request body a job of this queue, with a payload that fits? */
  ownsJob(x: unknown): x is DispatchedJob<T> {
    if (typeof x !== 'object' || x === null) return false
    const { job_id, queue_name, payload } = x as Record<string, unknown>
    return queue_name === this.queue_name && Number.isSafeInteger(job_id) && payload !== undefined && fitsSchema(this.payload_schema, payload)
  }

  /** The settings of this queue. */
  getConfig(): PgQueueConfig {
    return new PgQueueConfig(this.db, this.queue_name, this.schema_name)
  }

  async #pick(max_jobs: number, options: PickJobsOptions): Promise<{ handles: JobHandle<Parsed>[]; picked: number }> {
    const { transaction, ...request } = options
    const jobs = await this.#source.pick({ ...request, queue_names: [this.queue_name], max_jobs }, { transaction, durable: transaction !== undefined })
    const handles: JobHandle<Parsed>[] = []
    for (const job of jobs) {
      const handle = await this.#handleOf(job, transaction)
      if (handle) handles.push(handle)
    }
    return { handles, picked: jobs.length }
  }

  /** A job whose payload does not fit can never be run: it is released as dead, and gives no handle. */
  async #handleOf(job: PickedJob, transaction: Queryable | undefined): Promise<JobHandle<Parsed> | undefined> {
    const place = { source: this.#source, transaction }
    try {
      return createJobHandle(place, jobOf(job, await parsePayload(this.payload_schema, job.payload, this.queue_name)))
    } catch (error) {
      if (!(error instanceof PgqError) || error.code !== 'payload_invalid') throw error
      await createJobHandle(place, jobOf(job, job.payload)).release('failed', { error: error.message, retry: false })
      return undefined
    }
  }
}
