/** The throwaway PostgreSQL server of a run, with a database for each measurement. */
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster, type Cluster } from '../support/cluster.ts'
import type { Options } from './options.ts'
import type { Peer } from './peers/peer.ts'
import { connect } from './postgres.ts'

/** Printed with the results. Durability is PostgreSQL's default; no checkpoint comes in the middle of a measurement. */
const SETTINGS = {
  fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', shared_buffers: '1GB', work_mem: '32MB', maintenance_work_mem: '256MB',
  max_wal_size: '8GB', checkpoint_timeout: '30min', max_connections: 500, autovacuum: 'on',
} as const

const LONGEST_GOODBYE_MILLISECONDS = 2000

/** Where figures mean nothing. */
const QUICK_SETTINGS = { ...SETTINGS, fsync: 'off' } as const

export interface Server extends AsyncDisposable {
  readonly url: string
  readonly settings: Readonly<Record<string, string | number>>
  /** A fresh database with the tables of this peer, or an empty one; `await using` drops it. */
  database(peer?: Peer): Promise<Database>
  /** Path of a program beside this server's own, e.g. pgbench. */
  program(name: string): string
}

export interface Database extends AsyncDisposable {
  readonly url: string
}

export async function startServer({ quick, flush_milliseconds }: Pick<Options, 'quick' | 'flush_milliseconds'>): Promise<Server> {
  const settings = {
    ...(quick ? QUICK_SETTINGS : SETTINGS),
    // Who flushes waits first, and all who come meanwhile wait with it.
    ...(flush_milliseconds > 0 && { commit_delay: Math.round(flush_milliseconds * 1000), commit_siblings: 0 }),
  }
  const cluster: Cluster = await startCluster({ settings })
  const bin = execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--bindir'], { encoding: 'utf8' }).trim()
  const admin = await connect(cluster.url)
  const templates = new Map<Peer, Promise<string>>()
  let count = 0

  async function makeTemplate(peer: Peer): Promise<string> {
    const name = `template_${peer.name.replaceAll('-', '_')}`
    await admin.query(`CREATE DATABASE ${name}`)
    await peer.install?.({ database_url: cluster.url_of(name) })
    return name
  }

  /** Some pools tell that they have ended before their connections have, and do not bear to have those cut. */
  async function connectionsClosed(database: string): Promise<void> {
    const ends_at = performance.now() + LONGEST_GOODBYE_MILLISECONDS
    while (performance.now() < ends_at) {
      const { rows } = await admin.query('SELECT FROM pg_stat_activity WHERE datname = $1', [database])
      if (rows.length === 0) return
      await sleep(5)
    }
  }

  return {
    url: cluster.url,
    settings,
    program: (name) => `${bin}/${name}`,

    async database(peer) {
      let template = 'template0'
      if (peer?.install !== undefined) {
        if (!templates.has(peer)) templates.set(peer, makeTemplate(peer))
        template = await templates.get(peer)!
      }
      const name = `bench_${++count}`
      await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`)
      return {
        url: cluster.url_of(name),
        // (Dropping makes a checkpoint, so that each measurement begins after one.)
        async [Symbol.asyncDispose]() {
          await connectionsClosed(name)
          await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)
        },
      }
    },

    async [Symbol.asyncDispose]() {
      await admin.end()
      await cluster[Symbol.asyncDispose]()
    },
  }
}
