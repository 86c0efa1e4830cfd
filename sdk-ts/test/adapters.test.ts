import { PGlite } from '@electric-sql/pglite'
import { Pool } from 'pg'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromDriver, fromPg, fromPglite, fromPostgresTransaction, PgQueue, startWorker, type Queryable } from '../src/index.ts'
import { pgq } from '../src/pglite.ts'
import { DATABASE_URL, newQueue, openDb, stopAfterwards, until } from './support.ts'

const sql = postgres(DATABASE_URL, { max: 3 })
const pool = new Pool({ connectionString: DATABASE_URL, application_name: 'pgq pool' })
// Connections that a test terminates end here.
pool.on('error', () => {})
let pglite: PGlite
beforeAll(async () => {
  pglite = await PGlite.create({ extensions: { pgq } })
  await pglite.exec('CREATE EXTENSION pgq')
})
afterAll(async () => {
  await Promise.all([sql.end(), pool.end(), pglite.close()])
})

const databases: Record<string, () => Queryable> = {
  'node-postgres': () => fromPg(pool),
  'node-postgres behind a pooler': () => fromPg(pool, { transaction_pooler: true }),
  PGlite: () => fromPglite(pglite),
  'any driver': () => fromDriver({ query: (text, values) => pool.query(text, values) }),
  'any driver that gives an array': () => fromDriver({ query: async (text, values) => [...(await sql.unsafe(text, values))] }),
}

describe.each(Object.entries(databases))('%s', (_name, make) => {
  test('jobs are added, picked, released and read', async () => {
    const queue = await newQueue<{ text: string }>(make())
    const start_after = new Date('2020-01-01T00:00:00.123Z')
    const [job_id] = await queue.addJobs([{ text: 'née "🙂"' }, { text: 'b' }], { start_after, unique_keys: ['u', null] })
    const handle = (await queue.pickNextJob())!
    expect(handle.job).toMatchObject({ job_id, payload: { text: 'née "🙂"' }, attempt: 1 })
    expect(handle.job.added_at).toBeInstanceOf(Date)
    expect(await handle.release('complete', { output: null })).toBe('complete')
    expect(await queue.waitForResult(job_id!)).toMatchObject({ state: 'complete', output: null, start_after, unique_key: 'u' })
  })

  test('a worker runs jobs', async () => {
    const queue = await newQueue(make())
    const worker = stopAfterwards(startWorker(queue, ({ n }) => n * 2, { poll_interval_milliseconds: 50 }))
    const ids = await queue.addJobs(Array.from({ length: 50 }, (_, n) => ({ n })))
    const results = await Promise.all(ids.map((id) => queue.waitForResult(id)))
    expect(results.map((job) => job.output)).toEqual(ids.map((_, n) => n * 2))
    await worker.stop()
    expect(worker.stats()).toMatchObject({ complete: 50, lost: 0, last_error: undefined })
  })
})

describe.each([
  ['node-postgres', () => fromPg(pool)],
  ['PGlite', () => fromPglite(pglite)],
] as const)('%s', (_name, make) => {
  test('transaction commits what resolves and rolls back what rejects', async () => {
    const db = make()
    const queue = await newQueue(db)
    await expect(db.transaction!(async (transaction) => {
      await queue.addJob({ n: 1 }, { transaction })
      throw new Error('no')
    })).rejects.toThrow('no')
    const added = await db.transaction!((transaction) => queue.addJob({ n: 2 }, { transaction }))
    expect(await queue.stats()).toMatchObject({ ready: 1 })
    expect((await queue.getJob(added.job_id)).payload).toEqual({ n: 2 })
  })

  test('a notification wakes an idle worker long before its poll', async () => {
    const queue = await newQueue(make())
    const worker = startWorker(queue, () => {}, { poll_interval_milliseconds: 60_000 })
    await until(async () => (await make().query({ q: `SELECT FROM pgq.idle_worker AS w JOIN pgq.queue AS q USING (queue_id) WHERE q.queue_name = $1`, args: [queue.queue_name] })).rows.length > 0)
    const { job_id } = await queue.addJob({ n: 1 })
    expect((await queue.waitForResult(job_id, { timeout_milliseconds: 5000 })).state).toBe('complete')
    await worker.stop()
  })
})

describe('a transaction of your own', () => {
  test('of postgres', async () => {
    const queue = await newQueue(openDb())
    await expect(sql.begin(async (transaction) => {
      await queue.addJob({ n: 1 }, { transaction: fromPostgresTransaction(transaction) })
      throw new Error('no')
    })).rejects.toThrow('no')
    await sql.begin((transaction) => queue.addJob({ n: 2 }, { transaction: fromPostgresTransaction(transaction) }))
    expect((await queue.pickNextJob())?.job.payload).toEqual({ n: 2 })
    expect(await queue.pickNextJob()).toBeUndefined()
  })

  test('of node-postgres', async () => {
    const queue = await newQueue(openDb())
    const client = await pool.connect()
    for (const end of ['ROLLBACK', 'COMMIT']) {
      await client.query('BEGIN')
      await queue.addJob({ n: 1 }, { transaction: fromPg(client) })
      await client.query(end)
    }
    client.release()
    expect(await queue.stats()).toMatchObject({ ready: 1 })
  })

  test('of PGlite', async () => {
    const queue = new PgQueue<{ n: number }>(fromPglite(pglite), 'own transaction')
    await expect(pglite.transaction(async (transaction) => {
      await queue.addJob({ n: 1 }, { transaction: fromPglite(transaction) })
      throw new Error('no')
    })).rejects.toThrow('no')
    await pglite.transaction((transaction) => queue.addJob({ n: 2 }, { transaction: fromPglite(transaction) }))
    expect((await queue.pickNextJob())?.job.payload).toEqual({ n: 2 })
  })
})

test('a pool of node-postgres listens again after its connections were lost', async () => {
  const heard: string[] = []
  let reconnects = 0
  const unlisten = await fromPg(pool).listen!('pg channel', (payload) => heard.push(payload), { on_reconnect: () => reconnects++ })
  const db = openDb()
  await db.query({ q: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgq pool' AND query LIKE 'LISTEN%'` })
  await until(() => reconnects === 1)
  await db.query({ q: `SELECT pg_notify('pg channel', 'hello')` })
  await until(() => heard[0] === 'hello')
  await unlisten()
})
