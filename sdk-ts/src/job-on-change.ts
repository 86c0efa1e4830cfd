/** Jobs on change: a job for each row of a table that is inserted, updated or deleted. Mirrors functions/51-trigger.sql. */
import type { AddOptions, OnConflict } from './add.ts'
import { expectText } from './expect.ts'
import type { JobTarget, ListOptions, NamedOptions } from './job-target.ts'
import type { Queryable } from './queryable.ts'
import { callByName } from './schedule.ts'
import { call, callOne, DEFAULT_SCHEMA, jsonParam, namedArguments, param, quoteName, textsParam } from './sql-call.ts'

/** What may happen to a row. */
export type ChangeEvent = 'insert' | 'update' | 'delete'

/** Options of `addJobOnChange`. What is an expression is SQL over the columns of the row, evaluated with the rights of the table's owner. */
export interface AddJobOnChangeOptions extends Pick<
  AddOptions, 'priority' | 'max_attempts' | 'on_conflict' | 'throttle_milliseconds' | 'headers' | 'transaction'
> {
  /** @default ['insert', 'update'] */
  readonly events?: readonly ChangeEvent[]
  /** An expression: rows for which it is not true add nothing. @default none: all rows */
  readonly condition?: string
  /** An updated row counts only if one of these columns has changed; the table needs a primary key. @default none: any update counts */
  readonly when_changed?: readonly string[]
  /** The columns of which the payload is made. @default all */
  readonly payload_columns?: readonly string[]
  /** An expression, such as a column: at most one live job of the queue has this key. @default none */
  readonly unique_key?: string
  /** An expression, such as a column: the group that the job belongs to. @default none */
  readonly group_key?: string
  /** How long the job waits. @default none */
  readonly delay_milliseconds?: number
}

/** What `addJobOnChange` has set up. `null` is SQL's NULL: not set. */
export interface JobOnChange {
  readonly trigger_name: string
  /** null when it was dropped. */
  readonly table_name: string | null
  readonly queue_name: string
  /** Its jobs are runs of this workflow. */
  readonly workflow: string | null
  /** null for the highest version that is defined when a row changes. */
  readonly workflow_version: number | null
  readonly events: readonly ChangeEvent[]
  readonly condition: string | null
  readonly when_changed: readonly string[] | null
  readonly payload_columns: readonly string[] | null
  readonly unique_key: string | null
  readonly on_conflict: OnConflict
  readonly throttle_milliseconds: number | null
  readonly group_key: string | null
  readonly delay_milliseconds: number | null
  readonly priority: number
  readonly max_attempts: number | null
  readonly headers: Readonly<Record<string, unknown>> | null
  /** Why it does not work; null when it does. */
  readonly problem: string | null
  readonly created_at: Date
}

const TYPES = {
  name: 'text', table_name: 'regclass', queue_name: 'text', events: 'text[]', condition: 'text', when_changed: 'text[]', payload_columns: 'text[]',
  unique_key: 'text', on_conflict: 'text', throttle_milliseconds: 'bigint', group_key: 'text', delay_milliseconds: 'bigint', priority: 'integer',
  max_attempts: 'integer', headers: 'jsonb', workflow: 'text',
}

/**
 * Sets up triggers on a table that add a job for each row that is inserted or updated, in the same transaction.
 *
 * ```ts
 * await addJobOnChange(queue, { name: 'welcome', table_name: 'customer' }, { events: ['insert'], condition: 'email IS NOT NULL' })
 * ```
 * Triggers of this name are set up anew; nothing is locked when all is so already. The database role must own the table.
 */
export async function addJobOnChange(
  target: JobTarget, { name, table_name }: { readonly name: string; readonly table_name: string }, options: AddJobOnChangeOptions = {},
): Promise<JobOnChange> {
  expectText('name', name)
  expectText('table_name', table_name)
  await target.define?.(options.transaction)
  const q = `SELECT to_json(j)::text AS r FROM ${quoteName(target.schema_name)}.add_job_on_change(${namedArguments(TYPES)}) AS j`
  return jobOnChangeOf(await callOne(options.transaction ?? target.db, q, [
    name, table_name, target.queue_name, textsParam(options.events ?? ['insert', 'update']), param(options.condition),
    textsParam(options.when_changed), textsParam(options.payload_columns), param(options.unique_key), options.on_conflict ?? 'skip',
    param(options.throttle_milliseconds), param(options.group_key), param(options.delay_milliseconds), param(options.priority ?? 0),
    param(options.max_attempts), jsonParam('headers', options.headers), param(target.workflow_id),
  ]))
}

/** Removes what `addJobOnChange` has set up under this name; jobs that were added stay. Tells whether there was something. */
export function removeJobOnChange(db: Queryable, name: string, options: NamedOptions = {}): Promise<boolean> {
  return callByName(db, 'remove_job_on_change', name, options)
}

/** What `addJobOnChange` has set up, for all queues or one, by name. */
export async function listJobsOnChange(db: Queryable, { schema_name = DEFAULT_SCHEMA, queue_name, transaction }: ListOptions = {}): Promise<JobOnChange[]> {
  const q = `SELECT to_json(j)::text AS r FROM ${quoteName(schema_name)}.list_jobs_on_change(queue_name => $1::text) AS j`
  return (await call<JobOnChangeRow>(transaction ?? db, q, [param(queue_name)])).map(jobOnChangeOf)
}

type JobOnChangeRow = Omit<JobOnChange, 'created_at'> & { created_at: string }

function jobOnChangeOf(row: JobOnChangeRow): JobOnChange {
  return { ...row, created_at: new Date(row.created_at) }
}
