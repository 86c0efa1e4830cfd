/** A `JobSource` that calls SQL. Mirrors functions/45-worker.sql, 49-drive.sql, 55-pick.sql, 65-release.sql, 70-lease.sql and 85-maintain.sql. */
import { PgqError } from './errors.ts'
import type { JobSource, Lease, LeaseState, PickedJob, PickRequest, ReleaseBatch } from './job-source.ts'
import { pickInRows, pickStatements, pickTogether, type PickStatements } from './picked-jobs.ts'
import type { Queryable } from './queryable.ts'
import { releaseOne } from './release.ts'
import { sqlRuns } from './run-state.ts'
import { call, callOne, callVoid, jsonLinesParam, namedArguments, namesParam, numbersParam, param, quoteName, statementsOf, textsParam } from './sql-call.ts'

/** What SQL offers beyond `JobSource`. */
export interface SqlJobSource extends JobSource {
  /** With `durable` the pick itself survives a crash of the server. */
  pick(request: PickRequest, options?: { readonly transaction?: Queryable | undefined; readonly durable?: boolean }): Promise<PickedJob[]>
}

/** Average size of a job, in bytes, from which each comes in a row of its own. */
const LARGE = 8192

/** A pick that asks for no more gets them in rows too: to make one text of all costs more than so many rows. */
const FEW = 10

/** Share of the newest pick in the average size of a job. */
const WEIGHT = 0.3

const RELEASE = {
  job_ids: 'bigint[]', lease_tokens: 'bigint[]', result: 'text', outputs: 'jsonb[]', errors: 'text[]', delay_milliseconds: 'bigint',
  retry: 'boolean',
}
const PICK = {
  queue_names: 'names', max_jobs: 'integer', worker: 'text', timeout_milliseconds: 'integer', ignore_max_concurrency: 'boolean',
}

export function sqlJobSource(db: Queryable, schema_name: string): SqlJobSource {
  const schema = quoteName(schema_name)
  const pickJobs = statementsOf({ ...PICK, durable: 'boolean' }, (list) => pickStatements(`${schema}.pick_jobs(${list})`), 2)
  const releaseJobs = statementsOf(
    RELEASE, (list) => `SELECT array_to_json(${schema}.release_jobs(${list}, skip_lost => true))::text AS r`,
  )
  const releaseAndPick = statementsOf({ ...RELEASE, ...PICK }, (list) => pickStatements(`${schema}.release_and_pick(${list})`), 2)
  const keep_jobs_alive = `SELECT to_json(k)::text AS r FROM ${schema}.keep_jobs_alive(${namedArguments({
    job_ids: 'bigint[]', lease_tokens: 'bigint[]', timeout_milliseconds: 'integer', skip_lost: 'boolean',
  })}) AS k`
  const announce_idle = `SELECT ${schema}.announce_idle(${namedArguments({
    queue_names: 'names', worker: 'text', idle_milliseconds: 'integer',
  })})::text AS r`
  const runs = sqlRuns(db, schema_name)
  const { listen } = db
  let bytes_per_job = 0

  async function callPick(
    on: Queryable, { queue_names: [first_queue = ''], max_jobs }: PickRequest,
    { statement, args }: { statement: PickStatements; args: readonly string[] },
  ): Promise<PickedJob[]> {
    const calls = on === db ? runs : sqlRuns(on, schema_name)
    const pick = max_jobs <= FEW || bytes_per_job >= LARGE ? pickInRows : pickTogether
    const { jobs, bytes } = await pick(on, statement, first_queue, args, calls)
    // Larger ones count at once, smaller ones slowly.
    if (jobs.length > 0) bytes_per_job = Math.max(bytes / jobs.length, bytes_per_job + (bytes / jobs.length - bytes_per_job) * WEIGHT)
    return jobs
  }

  return {
    get bytes_per_job() {
      return bytes_per_job
    },

    pick(request, { transaction, durable = false } = {}) {
      return callPick(transaction ?? db, request, pickJobs([...pickArguments(request), param(durable)]))
    },

    async release(batch) {
      const { statement, args } = releaseJobs(releaseArguments(batch))
      return (await callOne<number[] | null>(db, statement, args)) ?? []
    },

    finishSteps: runs.finish,

    releaseAndPick(batch, request) {
      return callPick(db, request, releaseAndPick([...releaseArguments(batch), ...pickArguments(request)]))
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
      return callOne(db, announce_idle, [namesParam(queue_names), worker, param(idle_milliseconds)])
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
    namesParam(request.queue_names), param(request.max_jobs), param(request.worker), param(request.timeout_milliseconds),
    param(request.ignore_max_concurrency),
  ]
}

function releaseArguments({ leases, result, outputs, errors, delay_milliseconds, retry }: ReleaseBatch): (string | null)[] {
  return [
    ...leaseArguments(leases), result, jsonLinesParam(outputs), textsParam(errors?.map((error) => error ?? null)),
    param(delay_milliseconds), param(retry),
  ]
}

function leaseArguments(leases: readonly Lease[]): [string, string] {
  return [numbersParam(leases.map((lease) => lease.job_id)), numbersParam(leases.map((lease) => lease.lease_token))]
}
