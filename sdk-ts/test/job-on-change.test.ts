import { afterAll, beforeAll, expect, test } from 'vitest'
import { addJobOnChange, listJobsOnChange, PgQueue, removeJobOnChange, startWorker } from '../src/index.ts'
import { errorOf, newQueue, openDb, queueName, stopAfterwards, until } from './support.ts'

const db = openDb()
const schema = `on_change_${process.pid}`
const table_name = `${schema}."The Customer"`
beforeAll(() => db.exec(`CREATE SCHEMA ${schema}; CREATE TABLE ${table_name} (customer_id integer PRIMARY KEY, email text, welcomed_at timestamptz)`))
afterAll(() => db.exec(`DROP SCHEMA ${schema} CASCADE`))

test('a change of a table is worked, and the result written with the release', async () => {
  const queue = await newQueue<{ customer_id: number; email: string }>(db)
  const name = queueName()
  expect(await addJobOnChange(queue, { name, table_name }, { events: ['insert'], condition: 'email IS NOT NULL' })).toEqual({
    trigger_name: name, table_name, queue_name: queue.queue_name, workflow: null, workflow_version: null, events: ['insert'], condition: 'email IS NOT NULL', when_changed: null,
    payload_columns: null, unique_key: null, on_conflict: 'skip', throttle_milliseconds: null, group_key: null, delay_milliseconds: null,
    priority: 0, max_attempts: null, headers: null, problem: null, created_at: expect.any(Date),
  })
  stopAfterwards(startWorker(queue, ({ customer_id }, job) => db.transaction(async (transaction) => {
    await transaction.query({ q: `UPDATE ${table_name} SET welcomed_at = now() WHERE customer_id = $1`, args: [`${customer_id}`] })
    await job.release('complete', { transaction })
  })))
  await db.query({ q: `INSERT INTO ${table_name} VALUES (1, 'ada@example.org'), (2, NULL)` })
  const welcomed = async (): Promise<unknown> => (await db.query({ q: `SELECT customer_id FROM ${table_name} WHERE welcomed_at IS NOT NULL` })).rows
  await until(async () => ((await welcomed()) as unknown[]).length > 0)
  expect(await welcomed()).toEqual([{ customer_id: 1 }])
  expect(await removeJobOnChange(db, name)).toBe(true)
  expect(await removeJobOnChange(db, name)).toBe(false)
})

test('all options arrive', async () => {
  const queue = new PgQueue(db, queueName())
  const name = queueName()
  const options = {
    events: ['delete', 'insert', 'update'], condition: 'true', when_changed: ['email'], payload_columns: ['customer_id', 'email'], unique_key: 'email',
    on_conflict: 'throttle', throttle_milliseconds: 1000, group_key: 'customer_id', delay_milliseconds: 50, priority: 1, max_attempts: 2, headers: { a: 1 },
  } as const
  expect(await addJobOnChange(queue, { name, table_name }, options)).toMatchObject(options)
  await queue.getConfig().set({})
  expect(await listJobsOnChange(db, { queue_name: queue.queue_name })).toMatchObject([{ trigger_name: name }])
  expect((await listJobsOnChange(db)).map(({ trigger_name }) => trigger_name)).toContain(name)
  await removeJobOnChange(db, name)
})

test('what is wrong is told', async () => {
  const queue = new PgQueue(db, queueName())
  await errorOf(addJobOnChange(queue, { name: '', table_name }), 'invalid_argument')
  await errorOf(addJobOnChange(queue, { name: 'x', table_name: 'nowhere.nothing' }), 'not_installed')
  const { message } = await errorOf(addJobOnChange(queue, { name: 'x', table_name }, { condition: 'colour = 1' }), 'database_error')
  expect(message).toMatch('column "colour" does not exist')
})
