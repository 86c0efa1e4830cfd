/** Schedules: jobs that are added again and again. Mirrors functions/54-schedule.sql. */
import type { AddOptions } from './add.ts'
import { expectCron } from './cron.ts'
import { expectOneOf, expectText } from './expect.ts'
import type { JobTarget, ListOptions, NamedOptions } from './job-target.ts'
import { parsePayload } from './payload-schema.ts'
import type { Queryable } from './queryable.ts'
import { call, callOne, DEFAULT_SCHEMA, jsonParam, namedArguments, param, quoteName, toJson } from './sql-call.ts'

/** What becomes of a due time while the last job of the schedule is live: nothing is added, or another job is. */
export type ScheduleOverlap = 'skip' | 'allow'

/** What becomes of due times that nobody drove: none, one job for all of them, or one for each of the last day. */
export type ScheduleCatchUp = 'skip' | 'one' | 'all'

/** Options of `scheduleJob`. */
export interface ScheduleJobOptions extends Pick<
  AddOptions, 'priority' | 'max_attempts' | 'timeout_milliseconds' | 'timeout_with_result' | 'headers' | 'transaction'
> {
  /** An IANA name, such as Europe/Berlin: where the clock hangs that the expression means. @default 'UTC' */
  readonly time_zone?: string
  /** While the last job of the schedule is live: add nothing, or another one. @default 'skip' */
  readonly overlap?: ScheduleOverlap
  /** For due times that nobody drove: one job for all, none for those more than 5 minutes ago, or one for each of the last day. @default 'one' */
  readonly catch_up?: ScheduleCatchUp
  /** At most one live job of the queue has this key. @default none */
  readonly unique_key?: string
  /** The group that the jobs belong to. @default none */
  readonly group_key?: string
}

/** A schedule as it is set, and how far it is. `null` is SQL's NULL: not set, or not yet. */
export interface Schedule<T = unknown> {
  readonly schedule_name: string
  readonly queue_name: string
  /** Its jobs are runs of this workflow. */
  readonly workflow: string | null
  /** null for the highest version that is defined when a run is due. */
  readonly workflow_version: number | null
  readonly cron: string
  readonly time_zone: string
  readonly payload: T
  readonly overlap: ScheduleOverlap
  readonly catch_up: ScheduleCatchUp
  readonly priority: number
  readonly max_attempts: number | null
  readonly unique_key: string | null
  readonly group_key: string | null
  readonly timeout_milliseconds: number | null
  readonly timeout_with_result: string | null
  readonly headers: Readonly<Record<string, unknown>> | null
  readonly is_paused: boolean
  /** When the next job is due; null while it is paused. */
  readonly next_at: Date | null
  /** The last due time that it was driven for. */
  readonly last_at: Date | null
  readonly last_job_id: number | null
  /** Why the last due time added nothing. */
  readonly last_error: string | null
  readonly created_at: Date
}

/** What a schedule adds, and when. */
export interface ScheduleDetails<T> {
  /** Known by this name, 1 to 200 bytes; a schedule of this name is set anew. */
  readonly name: string
  /** minute hour day month weekday, or six fields with the second first, or a word such as @daily. */
  readonly cron: string
  readonly payload: T
}

const TYPES = {
  name: 'text', cron: 'text', queue_name: 'text', payload: 'jsonb', time_zone: 'text', overlap: 'text', catch_up: 'text', priority: 'integer',
  max_attempts: 'integer', unique_key: 'text', group_key: 'text', timeout_milliseconds: 'integer', timeout_with_result: 'text', headers: 'jsonb',
  workflow: 'text',
}

/**
 * Has a job added to a queue at each time that a cron expression means. Workers and dispatchers drive schedules, as does
 * pg_cron after `start_native_schedules`.
 *
 * ```ts
 * await scheduleJob(queue, { name: 'newsletter', cron: '0 9 * * MON', payload: { to: 'all' } }, { time_zone: 'Europe/Berlin' })
 * ```
 * May be called at each start of a program: what is due already stays so.
 */
export async function scheduleJob<T>(target: JobTarget<T>, { name, cron, payload }: ScheduleDetails<NoInfer<T>>, options: ScheduleJobOptions = {}): Promise<Schedule<T>> {
  expectText('name', name)
  expectCron(cron, options.time_zone)
  expectOneOf('overlap', options.overlap, ['skip', 'allow'])
  expectOneOf('catch_up', options.catch_up, ['skip', 'one', 'all'])
  await parsePayload((target.getRawQueue?.() ?? target).payload_schema, payload, target.queue_name)
  await target.define?.(options.transaction)
  const q = `SELECT to_json(s)::text AS r FROM ${quoteName(target.schema_name)}.schedule_job(${namedArguments(TYPES)}) AS s`
  return scheduleOf(await callOne<ScheduleRow<T>>(options.transaction ?? target.db, q, [
    name, cron, target.queue_name, toJson('payload', payload), options.time_zone ?? 'UTC', options.overlap ?? 'skip', options.catch_up ?? 'one',
    param(options.priority ?? 0), param(options.max_attempts), param(options.unique_key), param(options.group_key),
    param(options.timeout_milliseconds), param(options.timeout_with_result), jsonParam('headers', options.headers),
    param(target.workflow_id),
  ]))
}

/** Removes a schedule; jobs that it has added stay. Tells whether there was one. */
export function unscheduleJob(db: Queryable, name: string, options: NamedOptions = {}): Promise<boolean> {
  return callByName(db, 'unschedule_job', name, options)
}

/** Lets a schedule add no jobs until `resumeSchedule`. Tells whether there is such a schedule. */
export function pauseSchedule(db: Queryable, name: string, options: NamedOptions = {}): Promise<boolean> {
  return callByName(db, 'pause_schedule', name, options)
}

/** Lets a paused schedule go on with the next time that comes. Tells whether there is such a schedule. */
export function resumeSchedule(db: Queryable, name: string, options: NamedOptions = {}): Promise<boolean> {
  return callByName(db, 'resume_schedule', name, options)
}

/** All schedules, or those of one queue, by name. */
export async function listSchedules(db: Queryable, { schema_name = DEFAULT_SCHEMA, queue_name, transaction }: ListOptions = {}): Promise<Schedule[]> {
  const q = `SELECT to_json(s)::text AS r FROM ${quoteName(schema_name)}.list_schedules(queue_name => $1::text) AS s`
  return (await call<ScheduleRow<unknown>>(transaction ?? db, q, [param(queue_name)])).map(scheduleOf)
}

/** Calls a function that takes a name and tells whether there was something of it. */
export async function callByName(db: Queryable, function_name: string, name: string, { schema_name = DEFAULT_SCHEMA, transaction }: NamedOptions): Promise<boolean> {
  expectText('name', name)
  return callOne(transaction ?? db, `SELECT ${quoteName(schema_name)}.${function_name}(name => $1::text)::text AS r`, [name])
}

type ScheduleRow<T> = Omit<Schedule<T>, 'next_at' | 'last_at' | 'created_at'> & { next_at: string | null; last_at: string | null; created_at: string }

function scheduleOf<T>(row: ScheduleRow<T>): Schedule<T> {
  const { next_at, last_at, created_at } = row
  return {
    ...row,
    next_at: next_at === null ? null : new Date(next_at),
    last_at: last_at === null ? null : new Date(last_at),
    created_at: new Date(created_at),
  }
}
