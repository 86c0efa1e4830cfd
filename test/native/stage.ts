/** What the tests of the native dispatcher share: a server with pgq, the double of pg_net and its worker, and an endpoint. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster, type Cluster } from '../support/cluster.ts'
import type { Era } from '../support/pg_net/eras.ts'
import { installPgNet, pgNetSettings, startPgNet, type PgNet } from '../support/pg_net/start.ts'
import { openSession, sqlstateOf, type Session } from '../support/session.ts'
import { startEndpoint, type Endpoint } from './endpoint.ts'
import { until } from './until.ts'

const PLAIN_SQL = resolve(import.meta.dirname, '../../extension/pgq.plain.sql')

export interface JobRow {
  readonly job_id: number
  readonly state: string
  readonly attempt: number
  readonly output: unknown
  readonly error: string | null
  readonly start_after: Date
  readonly lease_until: Date | null
  readonly attempts: readonly { readonly attempt: number; readonly outcome: string; readonly error?: string }[] | null
}

export interface Dispatcher {
  /** Ends it as pg_cron or an administrator would: in the midst of what it does. */
  cancel(): Promise<void>
  /** When it has ended by itself. */
  readonly ended: Promise<void>
}

export interface Stage extends AsyncDisposable {
  readonly cluster: Cluster
  readonly endpoint: Endpoint
  readonly era: Era
  /** Of the session, anew after a crash. */
  readonly sql: Session
  readonly net: PgNet
  /** Runs the dispatcher in a session of its own. */
  dispatch(run_seconds?: number): Dispatcher
  /** Runs it until this is so. */
  dispatchUntil<T>(ask: () => T | Promise<T>, seconds?: number): Promise<Exclude<T, false | undefined>>
  /** Adds a job; its queue gets an endpoint if it has none. */
  add(queue_name: string, payload?: unknown): Promise<number>
  setEndpoint(queue_name: string, settings?: Readonly<Record<string, unknown>>): Promise<void>
  job(job_id: number): Promise<JobRow>
  /** kill -9 of the server, and of all that belongs to it. */
  crash(): Promise<void>
}

export interface StageOptions {
  readonly era?: Era
  readonly batch_size?: number
  readonly settings?: Readonly<Record<string, string | number>>
  /** pg_net's database. @default postgres, which is the one of the tests */
  readonly pg_net_database?: string
}

/** Installs pgq into schema pgq, without need of `make install`. */
export function installPgq(cluster: Cluster, database = 'postgres', user = 'postgres'): void {
  const sql = readFileSync(PLAIN_SQL, 'utf8').replaceAll('@extschema@', 'pgq')
  cluster.psql(`SET client_min_messages = warning; BEGIN; ${sql}; COMMIT`, { database, user })
}

export async function startStage({ era = 'C', batch_size = 200, settings = {}, pg_net_database = 'postgres' }: StageOptions = {}): Promise<Stage> {
  const cluster = await startCluster({ settings: { ...pgNetSettings(pg_net_database, batch_size), ...settings } })
  installPgq(cluster)
  installPgNet(cluster, 'postgres', era)
  const endpoint = await startEndpoint()
  const dispatchers = new Set<Dispatcher>()
  let sql = openSession(cluster.url)
  let net = await startPgNet(cluster.url, era)

  function dispatch(run_seconds = 300): Dispatcher {
    const session = openSession(cluster.url, { settings: { application_name: 'native dispatcher' } })
    const ended = session.unsafe(`CALL pgq.run_native_dispatcher(${run_seconds})`).simple()
      .then(() => {}, (error: unknown) => {
        // The end of the session, or of the server.
        if (sqlstateOf(error) !== undefined && !/^57/.test(sqlstateOf(error)!)) throw error
      })
      .finally(() => (dispatchers.delete(dispatcher), session.end({ timeout: 0 })))
    const dispatcher: Dispatcher = {
      ended,
      async cancel() {
        let is_over = false
        void ended.finally(() => (is_over = true))
        // It may not have begun yet.
        await until(async () => {
          await sql`
            SELECT pg_cancel_backend(a.pid) FROM pg_stat_activity AS a
            WHERE a.application_name = 'native dispatcher' AND a.query LIKE 'CALL%'`
          await Promise.race([ended, sleep(50)])
          return is_over
        })
      },
    }
    dispatchers.add(dispatcher)
    return dispatcher
  }

  const known = new Set<string>()
  const stage: Stage = {
    cluster, endpoint, era, dispatch,
    get sql() { return sql },
    get net() { return net },
    async dispatchUntil(ask, seconds = 30) {
      const dispatcher = dispatch()
      try {
        return await until(ask, seconds)
      } finally {
        await dispatcher.cancel()
      }
    },
    async setEndpoint(queue_name, given = {}) {
      known.add(queue_name)
      const parameters = Object.entries({ url: endpoint.url(`/${queue_name}`), is_insecure_allowed: true, ...given })
      const list = parameters.map(([name], place) => `${name} => $${place + 2}`).join(', ')
      await sql.unsafe(`SELECT FROM pgq.set_endpoint($1, ${list})`, [queue_name, ...parameters.map(([, value]) => value as string)])
      await sql`SELECT FROM pgq.set_queue_config(${queue_name}, retry_backoff => 'fixed', pause_between_retries_milliseconds => 3600000)`
    },
    async add(queue_name, payload = { n: 1 }) {
      if (!known.has(queue_name)) await stage.setEndpoint(queue_name)
      const [row] = await sql<[{ job_id: number }]>`SELECT a.job_id FROM pgq.add_job(${queue_name}, ${sql.json(payload as never)}) AS a`
      return row.job_id
    },
    async job(job_id) {
      const [row] = await sql<[JobRow]>`
        SELECT j.job_id, j.state, j.attempt, j.output, j.error, j.start_after, j.lease_until, j.attempts FROM pgq.get_job(${job_id}) AS j`
      return row
    },
    async crash() {
      await cluster.kill9()
      const back = net.isBack()
      await cluster.start()
      await back
      await sql.end({ timeout: 0 })
      sql = openSession(cluster.url)
    },
    async [Symbol.asyncDispose]() {
      for (const dispatcher of dispatchers) await dispatcher.cancel()
      await net[Symbol.asyncDispose]()
      await sql.end()
      await endpoint[Symbol.asyncDispose]()
      await cluster[Symbol.asyncDispose]()
    },
  }
  return stage
}
