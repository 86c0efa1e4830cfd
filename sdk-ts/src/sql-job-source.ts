/** A `JobSource` that calls SQL. Mirrors functions/45-worker.sql, 55-pick.sql, 65-release.sql, 70-lease.sql and 85-maintain.sql. */
import { PgqError } from './errors.ts'
import type { JobSource, Lease, LeaseState, PickedJob, PickRequest, ReleaseBatch } from './job-source.ts'
import type { Queryable } from './queryable.ts'
import { releaseOne } from './release.ts'
import { call, callOne, callVoid, jsonLinesParam, namedArguments, numbersParam, param, quoteName, textsParam } from './sql-call.ts'

/** What SQL offers beyond `JobSource`. */
export interface SqlJobSource extends JobSource {
  /** With `durable` the pick itself survives a crash of the server. */
  pick(request: PickRequest, options?: { readonly transaction?: Queryable | undefined; readonly durable?: boolean }): Promise<PickedJob[]>
}

/** The columns of a picked job, in the order of `PickedRow`. */
const PICKED = `json_agg(json_build_array(p.job_id, p.lease_token, p.attempt, p.max_attempts, p.timeout_milliseconds,
  p.payload, p.headers, p.queue_name, p.priority, p.group_key, p.added_at, p.lease_until))::text AS r`

type PickedRow = [
  job_id: number, lease_token: number, attempt: number, max_attempts: number, timeout_milliseconds: number, payload: unknown,
  headers: Record<string, unknown> | null, queue_name: string, priority: number, group_key: string | null, added_at: string,
  lease_until: string,
]

const RELEASE = {
  job_ids: 'bigint[]', lease_tokens: 'bigint[]', result: 'text', outputs: 'jsonb[]', errors: 'text[]', delay_milliseconds: 'bigint',
  retry: 'boolean',
}
const PICK = {
  queue_names: 'text[]', max_jobs: 'integer', worker: 'text', timeout_milliseconds: 'integer', ignore_max_concurrency: 'boolean',
}

export function sqlJobSource(db: Queryable, schema_name: string): SqlJobSource {
  const schema = quoteName(schema_name)
  const pick_jobs = `SELECT ${PICKED} FROM ${schema}.pick_jobs(${namedArguments({ ...PICK, durable: 'boolean' })}) AS p`
  const release_jobs = `SELECT array_to_json(${schema}.release_jobs(${namedArguments(RELEASE)}, skip_lost => true))::text AS r`
  const release_and_pick = `SELECT ${PICKED} FROM ${schema}.release_and_pick(${namedArguments({ ...RELEASE, ...PICK })}) AS p`
  const keep_jobs_alive = `SELECT to_json(k)::text AS r FROM ${schema}.keep_jobs_alive(${namedArguments({
    job_ids: 'bigint[]', lease_tokens: 'bigint[]', timeout_milliseconds: 'integer', skip_lost: 'boolean',
  })}) AS k`
  const announce_idle = `SELECT ${schema}.announce_idle(${namedArguments({
    queue_names: 'text[]', worker: 'text', idle_milliseconds: 'integer',
  })})::text AS r`
  const { listen } = db

  return {
    async pick(request, { transaction, durable = false } = {}) {
      return pickedJobs(await callOne(transaction ?? db, pick_jobs, [...pickArguments(request), param(durable)]))
    },

    async release(batch) {
      return (await callOne<number[] | null>(db, release_jobs, releaseArguments(batch))) ?? []
    },

    async releaseAndPick(batch, request) {
      return pickedJobs(await callOne(db, release_and_pick, [...releaseArguments(batch), ...pickArguments(request)]))
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

function pickedJobs(rows: PickedRow[] | null): PickedJob[] {
  if (rows === null) return []
  return rows.map((row) => ({
    job_id: row[0], lease_token: row[1], attempt: row[2], max_attempts: row[3], timeout_milliseconds: row[4], payload: row[5],
    headers: row[6], queue_name: row[7], priority: row[8], group_key: row[9], added_at: row[10], lease_until: row[11],
  }))
}
