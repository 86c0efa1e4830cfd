import { expect, test } from 'vitest'
import { PgQueue, PgqError, PostgresDb } from '../src/index.ts'
import { SQL_ERROR_CODES, toPgqError } from '../src/errors.ts'
import { errorOf, openDb, queueName } from './support.ts'

const db = openDb()

test('the error codes are those that SQL lists', async () => {
  const { rows } = await db.query<{ code: string; name: string }>({ q: 'SELECT code, name FROM pgq.error_codes()' })
  expect(Object.fromEntries(rows.map(({ code, name }) => [code, name]))).toEqual(SQL_ERROR_CODES)
})

test('the error of the driver is the cause', async () => {
  const error = await errorOf(new PgQueue(db, queueName()).getJob(2 ** 52), 'job_not_found')
  expect(error).toMatchObject({ name: 'PgqError', sqlstate: 'JQ002', cause: { code: 'JQ002' } })
})

test('a schema without pgq is told as not installed', async () => {
  await errorOf(new PgQueue(db, 'q', 'nowhere').addJob({}), 'not_installed')
})

test('a server that is not there is told as a lost connection', async () => {
  const nobody = new PostgresDb('postgres://127.0.0.1:1/none')
  await errorOf(new PgQueue(nobody, 'q').addJob({}), 'connection_lost')
  await nobody.end()
  await errorOf(new PgQueue(nobody, 'q').addJob({}), 'connection_lost')
})

test.each([
  ['57P01', 'connection_lost'], ['08006', 'connection_lost'], ['40P01', 'conflict'], ['22P05', 'invalid_argument'],
  ['XX000', 'database_error'], ['ECONNRESET', 'connection_lost'], ['EPIPE', 'connection_lost'],
] as const)('%s means %s', (code, meaning) => {
  expect(toPgqError(Object.assign(new Error('x'), { code })).code).toBe(meaning)
})

test('an error of several addresses is told by the first', () => {
  const both = new AggregateError([Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })])
  expect(toPgqError(both)).toMatchObject({ code: 'connection_lost', message: 'refused', cause: both })
})

test('an error stays what it is', () => {
  const error = new PgqError('lease_lost', 'x')
  expect(toPgqError(error)).toBe(error)
})
