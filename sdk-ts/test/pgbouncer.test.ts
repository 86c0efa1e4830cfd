import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromPg, install, PgQueue, startWorker, uninstall, type Queryable } from '../src/index.ts'
import { pgcFileReaderNode } from '../src/node.ts'
import { DATABASE_URL, newQueue, openDb, stopAfterwards, until } from './support.ts'

/** PgBouncer in transaction mode, with fewer server connections than clients, so that sessions change all the time. */
const BINARY = ['/usr/sbin/pgbouncer', 'pgbouncer'].find((path) => spawnSync(path, ['--version']).status === 0)
if (!BINARY) console.warn('skipped: these tests need pgbouncer (Debian package pgbouncer), which is not installed')

let bouncer: ChildProcess | undefined
let folder: string
let url = ''

beforeAll(async () => {
  if (!BINARY) return
  const server = new URL(DATABASE_URL)
  const port = await freePort()
  folder = mkdtempSync(join(tmpdir(), 'pgq-bouncer-'))
  const ini = join(folder, 'pgbouncer.ini')
  writeFileSync(ini, `
[databases]
test = host=${server.hostname} port=${server.port} dbname=${server.pathname.slice(1)} user=${server.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_reset_query =
`)
  // It refuses to run as root.
  const as = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {}
  if ('uid' in as) for (const path of [folder, ini]) chownSync(path, as.uid!, as.gid!)
  bouncer = spawn(BINARY, [ini], { ...as, stdio: 'ignore' })
  url = `postgres://postgres@127.0.0.1:${port}/test`
  await until(async () => {
    const probe = openDb({ url, transaction_pooler: true })
    return probe.query({ q: 'SELECT 1' }).then(() => true, () => false)
  })
})

afterAll(() => {
  bouncer?.kill('SIGINT')
  if (folder) rmSync(folder, { recursive: true, force: true })
})

function idOf(flag: string): number {
  return Number(spawnSync('id', [flag, 'nobody'], { encoding: 'utf8' }).stdout)
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

describe.skipIf(!BINARY).each([
  ['PostgresDb', (): Queryable => openDb({ url, transaction_pooler: true })],
  ['node-postgres', (): Queryable => fromPg(ended(new Pool({ connectionString: url })), { transaction_pooler: true })],
] as const)('%s through PgBouncer in transaction mode', (_name, make) => {
  test('jobs are added, picked, released and read', async () => {
    const db = make()
    const queue = await newQueue<{ text: string }>(db)
    const { job_id } = await queue.addJob({ text: 'née' }, { headers: { a: 1 } })
    const handle = (await queue.pickNextJob())!
    expect(handle.job).toMatchObject({ job_id, payload: { text: 'née' } })
    await handle.keepAlive()
    await handle.release('complete', { output: [1] })
    expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'complete', output: [1] })
    await expect(db.transaction!(async (transaction) => {
      await queue.addJob({ text: 'x' }, { transaction })
      throw new Error('no')
    })).rejects.toThrow('no')
    expect(await queue.stats()).toMatchObject({ ready: 0 })
  })

  test('five install at once, and one does it', async () => {
    const options = { schema_name: 'behind PgBouncer' }
    const results = await Promise.all(Array.from({ length: 5 }, () => install(pgcFileReaderNode, make(), options)))
    expect(results.filter(({ previous_version }) => previous_version === undefined)).toHaveLength(1)
    expect(await uninstall(make(), options)).toBe(true)
  })

  test('two workers drain a queue, each job once, without errors', async () => {
    const queue = await newQueue(make())
    const ids = await queue.addJobs(Array.from({ length: 2000 }, (_, n) => ({ n })))
    const runs: number[] = []
    const workers = [make(), make()].map((db) => stopAfterwards(startWorker(new PgQueue<{ n: number }>(db, queue.queue_name), ({ n }) => (runs.push(n), n), { poll_interval_milliseconds: 50 })))
    await until(() => runs.length >= ids.length)
    await Promise.all(workers.map((worker) => worker.stop()))
    expect(runs.sort((a, b) => a - b)).toEqual(ids.map((_, n) => n))
    expect(workers.map((worker) => worker.stats().last_error)).toEqual([undefined, undefined])
    expect(await queue.stats()).toMatchObject({ ready: 0, running: 0 })
  })
})

const pools: Pool[] = []
afterAll(() => Promise.all(pools.map((pool) => pool.end())))
function ended(pool: Pool): Pool {
  pools.push(pool)
  return pool
}
