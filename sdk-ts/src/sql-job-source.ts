/** A `JobSource` that calls SQL. Mirrors functions/45-worker.sql, 49-drive.sql, 55-pick.sql, 65-release.sql, 70-lease.sql and 85-maintain.sql. */
import { PgqError } from './errors.ts'
import type { JobSource, Lease, LeaseState, PickedJob, PickRequest, ReleaseBatch } from './job-source.ts'
import type { Queryable } from './queryable.ts'
import { releaseOne } from './release.ts'
import { readTogether, sqlRuns, type RunCalls } from './run-state.ts'
import { call, callOne, callVoid, jsonLinesParam, namedArguments, numbersParam, param, quoteName, textsParam } from './sql-call.ts'

/** What SQL offers beyond `JobSource`. */
export interface SqlJobSource extends JobSource {
  /** With `durable` the pick itself survives a crash of the server. */
  pick(request: PickRequest, options?: { readonly transaction?: Queryable | undefined; readonly durable?: boolean }): Promise<PickedJob[]>
}

/**
 * All picked jobs as one JSON array: rows of numbers, payloads, and what few jobs have or differ in, by job_id. Measured, it costs
 * the server a third of what an array for each job would; and the payloads, joined as text, a fifth less than by json_agg.
 */
const picked = (first_queue: string): string => `concat('[',
  ${orNull(`json_agg(ARRAY[p.job_id, p.lease_token, p.attempt, p.max_attempts, p.timeout_milliseconds, p.priority,
    ${milliseconds('p.added_at')}, ${milliseconds('p.lease_until')}])`)},
  ',[', string_agg(p.payload::text, ','), '],',
  ${orNull('json_object_agg(p.job_id, p.headers) FILTER (WHERE p.headers IS NOT NULL)')}, ',',
  ${orNull('json_object_agg(p.job_id, p.group_key) FILTER (WHERE p.group_key IS NOT NULL)')}, ',',
  ${orNull(`json_object_agg(p.job_id, p.queue_name) FILTER (WHERE p.queue_name <> ${first_queue})`)}, ',',
  ${orNull('json_object_agg(p.job_id, json_build_array(p.workflow, p.workflow_version, p.step)) FILTER (WHERE p.workflow IS NOT NULL)')},
  ']') AS r`

const orNull = (json: string): string => `COALESCE((${json})::text, 'null')`

const milliseconds = (moment: string): string => `(date_part('epoch', ${moment}) * 1000)::bigint`

/** `null` where there is none. */
type Picked = [
  numbers: [
    job_id: number, lease_token: number, attempt: number, max_attempts: number, timeout_milliseconds: number, priority: number,
    added_at: number, lease_until: number,
  ][] | null,
  payloads: unknown[],
  headers: Record<string, Record<string, unknown>> | null,
  group_keys: Record<string, string> | null,
  queue_names: Record<string, string> | null,
  runs: Record<string, [workflow: string, workflow_version: number, step: string]> | null,
]

/** Share of the newest pick in the average size of a job. */
const WEIGHT = 0.3

const RELEASE = {
  job_ids: 'bigint[]', lease_tokens: 'bigint[]', result: 'text', outputs: 'jsonb[]', errors: 'text[]', delay_milliseconds: 'bigint',
  retry: 'boolean',
}
const PICK = {
  queue_names: 'text[]', max_jobs: 'integer', worker: 'text', timeout_milliseconds: 'integer', ignore_max_concurrency: 'boolean',
}

export function sqlJobSource(db: Queryable, schema_name: string): SqlJobSource {
  const schema = quoteName(schema_name)
  const pick_jobs = `SELECT ${picked('$1::text')} FROM ${schema}.pick_jobs(${namedArguments({ ...PICK, durable: 'boolean' }, 2)}) AS p`
  const release_jobs = `SELECT array_to_json(${schema}.release_jobs(${namedArguments(RELEASE)}, skip_lost => true))::text AS r`
  const release_and_pick = `SELECT ${picked('$1::text')} FROM ${schema}.release_and_pick(${namedArguments({ ...RELEASE, ...PICK }, 2)}) AS p`
  const keep_jobs_alive = `SELECT to_json(k)::text AS r FROM ${schema}.keep_jobs_alive(${namedArguments({
    job_ids: 'bigint[]', lease_tokens: 'bigint[]', timeout_milliseconds: 'integer', skip_lost: 'boolean',
  })}) AS k`
  const announce_idle = `SELECT ${schema}.announce_idle(${namedArguments({
    queue_names: 'text[]', worker: 'text', idle_milliseconds: 'integer',
  })})::text AS r`
  const runs = sqlRuns(db, schema_name)
  const { listen } = db
  let bytes_per_job = 0

  /** Runs a statement that picks. */
  async function callPick(on: Queryable, q: string, request: PickRequest, args: readonly (string | null)[]): Promise<PickedJob[]> {
    let bytes = 0
    const calls = on === db ? runs : sqlRuns(on, schema_name)
    const jobs = pickedJobs(request, calls, await callOne(on, q, [firstQueue(request), ...args], (text) => (bytes = text.length)))
    // Larger ones count at once, smaller ones slowly.
    if (jobs.length > 0) bytes_per_job = Math.max(bytes / jobs.length, bytes_per_job + (bytes / jobs.length - bytes_per_job) * WEIGHT)
    return jobs
  }

  return {
    get bytes_per_job() {
      return bytes_per_job
    },

    pick(request, { transaction, durable = false } = {}) {
      return callPick(transaction ?? db, pick_jobs, request, [...pickArguments(request), param(durable)])
    },

    async release(batch) {
      return (await callOne<number[] | null>(db, release_jobs, releaseArguments(batch))) ?? []
    },

    finishSteps: runs.finish,

    releaseAndPick(batch, request) {
      return callPick(db, release_and_pick, request, [...releaseArguments(batch), ...pickArguments(request)])
    },

    keepAlive(leases) {
      return call(db, keep_jobs_alive, [...leaseArguments(leases), null, 'true'])
    },

    async keepOneAlive(lease, { transaction, timeout_milliseconds }) {
      const kept = await callOne<LeaseState>(transaction ?? db, keep_jobs_alive, [
        ...leaseArguments([lease]), param(timeout_milliseconds), 'false',
      ])
      if (kept.lease_until === null) throw new PgqError('job_cancelled', `job ${lease.job_id} was cancelled`)
      return new Date(kept.lease_until)
    },

    releaseOne({ job_id, lease_token }, result, options) {
      return releaseOne(db, schema_name, job_id, result, { ...options, lease_token })
    },

    announceIdle(queue_names, worker, idle_milliseconds) {
      return callOne(db, announce_idle, [textsParam(queue_names), worker, param(idle_milliseconds)])
    },

    async announceBusy(worker) {
      await callVoid(db, `SELECT ${schema}.announce_busy(worker => $1::text)`, [worker])
    },

    async maintain() {
      await callVoid(db, `SELECT ${schema}.maintain()`, [])
    },

    driveSchedules: () => callOne(db, `SELECT ${schema}.drive_schedules()::text AS r`, []),

    listen: listen && (async (on_notify, callbacks) => {
      const channel = await callOne<string>(db, `SELECT to_json(${schema}.wake_up_channel())::text AS r`, [])
      return listen.call(db, channel, on_notify, callbacks)
    }),
  }
}

function pickArguments(request: PickRequest): (string | null)[] {
  return [
    textsParam(request.queue_names), param(request.max_jobs), param(request.worker), param(request.timeout_milliseconds),
    param(request.ignore_max_concurrency ?? false),
  ]
}

function releaseArguments({ leases, result, outputs, errors, delay_milliseconds, retry = true }: ReleaseBatch): (string | null)[] {
  return [
    ...leaseArguments(leases), result, jsonLinesParam(outputs), textsParam(errors?.map((error) => error ?? null)),
    param(delay_milliseconds), param(retry),
  ]
}

function leaseArguments(leases: readonly Lease[]): [string, string] {
  return [numbersParam(leases.map((lease) => lease.job_id)), numbersParam(leases.map((lease) => lease.lease_token))]
}

/** Whose name is not told for each job. */
function firstQueue({ queue_names: [first = ''] }: PickRequest): string {
  return first
}

function pickedJobs(request: PickRequest, calls: RunCalls, [numbers, payloads, headers, group_keys, queue_names, runs]: Picked): PickedJob[] {
  if (numbers === null) return []
  const first_queue = firstQueue(request)
  const jobs: PickedJob[] = numbers.map(([job_id, lease_token, attempt, max_attempts, timeout_milliseconds, priority, added_at, lease_until], index) => ({
    job_id, lease_token, attempt, max_attempts, timeout_milliseconds, priority, added_at, lease_until,
    payload: payloads[index],
    headers: headers?.[job_id] ?? null,
    group_key: group_keys?.[job_id] ?? null,
    queue_name: queue_names?.[job_id] ?? first_queue,
  }))
  return runs === null ? jobs : withRuns(jobs, calls, runs)
}

function withRuns(jobs: readonly PickedJob[], calls: RunCalls, runs: NonNullable<Picked[5]>): PickedJob[] {
  const stateOf = readTogether(calls, Object.keys(runs).map(Number))
  return jobs.map((job) => {
    const at = runs[job.job_id]
    if (at === undefined) return job
    const [workflow, workflow_version, step] = at
    return { ...job, run: { workflow, workflow_version, step, state: () => stateOf(job.job_id) } }
  })
}
