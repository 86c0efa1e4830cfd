/** The dispatchers that are measured. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { EndpointDetails } from '../../../sdk-ts/src/index.ts'
import { pgNetSql, startPgNet } from '../../support/pg_net/start.ts'
import type { Place } from '../peers/peer.ts'
import { connect } from '../postgres.ts'
import { bundlePath } from '../worker-bundle.ts'

export interface DispatcherKind {
  /** Part of the names of its rows. */
  readonly name: string
  readonly title: string
  /** Does a tenth of the rate: gets this share of the jobs. @default 1 */
  readonly share?: number
  /** As its documents recommend. @default all defaults */
  readonly endpoint?: Partial<EndpointDetails>
  /** Further details of the endpoint that hangs. @default none */
  readonly hanging_endpoint?: Partial<EndpointDetails>
  /** Starts it for all endpoints of the database; disposing stops it. */
  start(place: Place): Promise<AsyncDisposable>
}

const node: DispatcherKind = {
  name: 'node',
  title: 'Node dispatcher',
  // It hangs for as long as the others are measured.
  hanging_endpoint: { endpoint_timeout_milliseconds: 300_000 },
  /** In a process of its own, all defaults. */
  async start({ database_url }) {
    const child = fork(await bundlePath('dispatch/node-main'), [database_url], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    await once(child, 'message')
    return {
      async [Symbol.asyncDispose]() {
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        await ended
      },
    }
  },
}

const native: DispatcherKind = {
  name: 'native',
  title: "Postgres' own dispatcher, on a double of pg_net",
  share: 0.1,
  // Two batches: pg_net takes one each second at best. (All wait for the one that hangs until its time is over.)
  endpoint: { endpoint_max_in_flight: 400 },
  /** pg_net's default batch of 200. (pg_cron only starts the loop: here the bench does.) */
  async start({ database_url }) {
    const admin = await connect(database_url)
    await admin.query(`
      DROP SCHEMA IF EXISTS net CASCADE;
      ${pgNetSql()}
      DO $$ BEGIN EXECUTE format(
        'ALTER DATABASE %1$I SET pg_net.batch_size = 200; ALTER DATABASE %1$I SET pg_net.ttl = ''6 hours'';
         ALTER DATABASE %1$I SET pg_net.database_name = %1$I', current_database()); END $$`)
    const pg_net = await startPgNet(database_url)
    const session = await connect(database_url)
    const ended = session.query('CALL pgq.run_native_dispatcher(3600)').catch(() => {}) // It is cancelled.
    return {
      async [Symbol.asyncDispose]() {
        await admin.query("SELECT pg_cancel_backend(a.pid) FROM pg_stat_activity AS a WHERE a.query LIKE 'CALL pgq.run_native_dispatcher%' AND a.datname = current_database()")
        await ended
        await session.end()
        await pg_net[Symbol.asyncDispose]()
        await admin.end()
      },
    }
  },
}

export const DISPATCHERS: readonly DispatcherKind[] = [node, native]
