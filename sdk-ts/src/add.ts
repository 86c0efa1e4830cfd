/** Adding jobs. Mirrors functions/50-add.sql. */
import { expectText, refuse } from './expect.ts'
import type { Queryable } from './queryable.ts'
import { callOne, jsonLinesParam, jsonParam, param, quoteName, statementsOf, textsParam, timeParam, toJson } from './sql-call.ts'

/** What happens to the job when its lease runs out. */
export type TimeoutResult = 'failed' | 'paused' | 'complete' | 'cancelled'

/** What an add does when a live job holds the unique key: see `AddJobOptions.on_conflict`. */
export type OnConflict = 'skip' | 'replace' | 'debounce' | 'throttle'

/** What holds for one job and for a batch alike. */
export interface AddOptions {
  /** Not before this moment: a Date, or a text as Postgres reads it. @default now */
  readonly start_after?: Date | string
  /** -100 to 100; higher runs first. @default 0 */
  readonly priority?: number
  /** Attempts in all, the first one counted: 1 to 1000. @default the queue's max_attempts (10) */
  readonly max_attempts?: number
  /** Another name of `max_attempts`: the number of attempts in all. @default the queue's max_attempts (10) */
  readonly retries?: number
  /**
   * When a live job holds the unique key: `skip` leaves that job as it is, `replace` gives it this payload, `debounce`
   * does so and pushes its start_after back, `throttle` is `skip` whose key holds for a period after the job ended.
   * @default 'skip'
   */
  readonly on_conflict?: OnConflict
  /** How long the key holds after the job ended, with `throttle`. @default none */
  readonly throttle_milliseconds?: number
  /** Length of the lease: how long a worker may be silent, 100 to 604 800 000. @default the queue's timeout_milliseconds (30 000) */
  readonly timeout_milliseconds?: number
  /** What happens when the lease runs out. @default the queue's timeout_with_result ('failed') */
  readonly timeout_with_result?: TimeoutResult
  /** Anything that goes with the payload without being part of it, e.g. a trace id. @default none */
  readonly headers?: Readonly<Record<string, unknown>>
  /** Starts a run of this workflow: the job goes through its steps. A `MultiStepPgQueue` says it by itself. @default none: a plain job */
  readonly workflow?: string
  /** The version of the workflow that the run keeps. @default the newest that is defined */
  readonly workflow_version?: number
  /** The add happens inside this transaction: no job if it rolls back. @default a transaction of its own */
  readonly transaction?: Queryable
}

/** Options of `addJob`. */
export interface AddJobOptions extends AddOptions {
  /** At most one live job of the queue has this key. @default none */
  readonly unique_key?: string
  /** The group that the job belongs to, for limits and order within a group, e.g. a customer. @default none */
  readonly group_key?: string
}

/** Options of `addJobs`; they hold for all jobs, the keys one by one in the order of the payloads. */
export interface AddJobsOptions extends AddOptions {
  /** One for each payload, null for none. @default none */
  readonly unique_keys?: readonly (string | null)[]
  /** One for each payload, null for none. @default none */
  readonly group_keys?: readonly (string | null)[]
}

/** A job that was added, or the one that holds its unique key. */
export interface AddedJob {
  readonly job_id: number
  /** false: a job with the same unique key was there, and `job_id` is that one. */
  readonly is_new: boolean
}

/**
 * A batch of more characters goes in several calls of one transaction: a server holds the argument of a call many times over
 * while it plans and runs it, and has to ask the system for that memory anew each time.
 */
const MAX_PART_LENGTH = 4 * 2 ** 20

/** Where jobs are added: the one door that another transport has to offer. */
export interface JobSink {
  add(queue_name: string, payload: unknown, options: AddJobOptions): Promise<AddedJob>
  /** The ids in the order of the payloads. */
  addMany(queue_name: string, payloads: readonly unknown[], options: AddJobsOptions): Promise<number[]>
}

/** A sink that calls `add_job` and `add_jobs`. */
export function sqlJobSink(db: Queryable, schema_name: string): JobSink {
  const schema = quoteName(schema_name)
  const common = {
    start_after: 'timestamptz', priority: 'integer', max_attempts: 'integer', on_conflict: 'text', throttle_milliseconds: 'bigint',
    timeout_milliseconds: 'integer', timeout_with_result: 'text', headers: 'jsonb', workflow: 'text', workflow_version: 'integer',
  }
  const addJob = statementsOf(
    { queue_name: 'text', payload: 'jsonb', ...common, unique_key: 'text', group_key: 'text' },
    (list) => `SELECT to_json(a)::text AS r FROM ${schema}.add_job(${list}) AS a`,
  )
  const addJobs = statementsOf(
    { queue_name: 'text', payloads: 'jsonb[]', ...common, unique_keys: 'text[]', group_keys: 'text[]' },
    (list) => `SELECT array_to_json(${schema}.add_jobs(${list}))::text AS r`,
  )

  return {
    add(queue_name, payload, options) {
      const { statement, args } = addJob([
        queue_name, toJson('payload', payload), ...commonArguments(options), param(options.unique_key), param(options.group_key),
      ])
      return callOne(options.transaction ?? db, statement, args)
    },

    async addMany(queue_name, payloads, options) {
      if (payloads.length === 0) return []
      const { transaction, unique_keys, group_keys } = options
      const shared = commonArguments(options)
      const addPart = (on: Queryable, { lines, from, to }: Part): Promise<number[]> => {
        const { statement, args } = addJobs([
          queue_name, lines, ...shared, textsParam(unique_keys), textsParam(group_keys?.slice(from, to)),
        ])
        return callOne(on, statement, args)
      }
      // Unique keys are claimed in one call: in an order in which no two adds wait for each other.
      const is_divisible = (transaction ?? db.transaction) !== undefined && unique_keys === undefined
        && (group_keys === undefined || group_keys.length === payloads.length)
      const parts = partsOf(payloads, is_divisible ? MAX_PART_LENGTH : Infinity)

      const addAll = async (on: Queryable): Promise<number[]> => {
        const job_ids: number[][] = []
        for (const part of parts) job_ids.push(await addPart(on, part))
        return job_ids.flat()
      }
      return transaction || parts.length === 1 ? addAll(transaction ?? db) : db.transaction!(addAll)
    },
  }
}

/** Some of the payloads of a batch, as lines of JSON. */
interface Part {
  readonly lines: string | null
  readonly from: number
  readonly to: number
}

/** All that is made before the first is added, so that a payload which is none leaves nothing behind in a transaction of the caller's. */
function partsOf(payloads: readonly unknown[], max_length: number): Part[] {
  const parts: Part[] = []
  let texts: string[] = []
  let length = 0
  for (const [index, payload] of payloads.entries()) {
    const text = toJson('payload', payload)
    texts.push(text)
    length += text.length
    if (length < max_length && index < payloads.length - 1) continue
    parts.push({ lines: jsonLinesParam(texts), from: index + 1 - texts.length, to: index + 1 })
    texts = []
    length = 0
  }
  return parts
}

function commonArguments(options: AddOptions): (string | null)[] {
  const { max_attempts, retries, workflow, workflow_version } = options
  if (retries !== undefined && max_attempts !== undefined && retries !== max_attempts) {
    refuse('retries', `the same as \`max_attempts\` (${max_attempts}) or left out`, retries)
  }
  if (workflow !== undefined || workflow_version !== undefined) expectText('workflow', workflow)
  return [
    timeParam('start_after', options.start_after), param(options.priority), param(max_attempts ?? retries), param(options.on_conflict),
    param(options.throttle_milliseconds), param(options.timeout_milliseconds), param(options.timeout_with_result),
    jsonParam('headers', options.headers), param(workflow), param(workflow_version),
  ]
}
