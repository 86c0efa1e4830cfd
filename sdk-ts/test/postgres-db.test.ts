import postgres from 'postgres'
import { afterAll, expect, test } from 'vitest'
import { PostgresDb } from '../src/index.ts'
import { DATABASE_URL, errorOf, newQueue, openDb, until } from './support.ts'

const db = openDb()
const sql = postgres(DATABASE_URL, { transform: postgres.camel, types: { bigint: postgres.BigInt } })
afterAll(() => sql.end())

async function terminate(application_name: string): Promise<void> {
  await db.query({ q: 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', args: [application_name] })
}

test('an instance of postgres is used as it is, whatever it does to names and types, and stays open', async () => {
  const mine = new PostgresDb(sql)
  const queue = await newQueue<{ some_key: { inner_key: number } }>(mine)
  const { job_id } = await queue.addJob({ some_key: { inner_key: 1 } }, { headers: { trace_id: 'x' } })
  const handle = (await queue.pickNextJob())!
  expect(handle.job).toMatchObject({ job_id, payload: { some_key: { inner_key: 1 } }, headers: { trace_id: 'x' }, max_attempts: 10 })
  await handle.release('complete')
  expect(await queue.getJob(job_id)).toMatchObject({ job_id, state: 'complete', payload: { some_key: { inner_key: 1 } } })
  await mine.end()
  expect(await sql`SELECT 1 AS still_open`).toEqual([{ stillOpen: 1 }])
})

test('a script with a transaction runs, and a failed one leaves no transaction behind', async () => {
  await db.exec('BEGIN; CREATE TABLE IF NOT EXISTS script_was_here (n int); COMMIT; DROP TABLE script_was_here')
  await expect(db.exec('BEGIN; SELECT 1 / 0; COMMIT')).rejects.toThrow('division by zero')
  const states = await Promise.all(Array.from({ length: 20 }, () => db.query({ q: 'SELECT now() = statement_timestamp() AS is_fresh' })))
  expect(states.every(({ rows }) => rows[0]?.['is_fresh'])).toBe(true)
})

test('a connection that listens is opened again after it was lost', async () => {
  const listener = openDb({ application_name: 'pgq listener' })
  const heard: string[] = []
  let reconnects = 0
  const unlisten = await listener.listen!('some "channel"', (payload) => heard.push(payload), { on_reconnect: () => reconnects++ })
  const notify = (text: string) => db.query({ q: 'SELECT pg_notify($1, $2)', args: ['some "channel"', text] })
  await notify('one')
  await until(() => heard.length === 1)
  await terminate('pgq listener')
  await until(() => reconnects === 1)
  await notify('two')
  await until(() => heard.length === 2)
  expect(heard).toEqual(['one', 'two'])
  await unlisten()
  await until(async () => (await db.query({ q: `SELECT FROM pg_stat_activity WHERE application_name = 'pgq listener'` })).rows.length === 0)
})

test('all who listen to a channel share one connection', async () => {
  const listener = openDb({ application_name: 'pgq sharer' })
  const heard: number[] = []
  const unlistens = await Promise.all([1, 2, 3].map((n) => listener.listen!('shared', () => heard.push(n))))
  const { rows } = await db.query({ q: `SELECT FROM pg_stat_activity WHERE application_name = 'pgq sharer'` })
  expect(rows).toHaveLength(1)
  await unlistens[0]!()
  await db.query({ q: `SELECT pg_notify('shared', '')` })
  await until(() => heard.length === 2)
  expect(heard.sort()).toEqual([2, 3])
})

test('await using closes the connections', async () => {
  const short = new PostgresDb(`${DATABASE_URL}?application_name=pgq%20short`)
  await short.query({ q: 'SELECT 1' })
  await short[Symbol.asyncDispose]()
  await expect(short.query({ q: 'SELECT 1' })).rejects.toThrow('CONNECTION_ENDED')
})

test('what is no connection is refused', async () => {
  const error = await errorOf(() => new PostgresDb(5 as never), 'invalid_argument')
  expect(error.message).toBe('Expected `connection` to be a connection string, options of the package postgres or an instance of it, got 5')
})
