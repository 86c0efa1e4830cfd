import { expect, test } from 'vitest'
import { PgQueueConfig } from '../src/index.ts'
import { errorOf, newQueue, openDb, queueName } from './support.ts'

const db = openDb()

test('a queue has the documented defaults', async () => {
  const config = new PgQueueConfig(db, queueName())
  await errorOf(config.get(), 'queue_not_found')
  expect(await config.set({})).toEqual({
    queue_name: config.queue_name, max_concurrency: null, max_concurrency_per_group: null, group_order: 'loose', max_attempts: 10,
    retry_backoff: 'exponential', pause_between_retries_milliseconds: 5000, max_pause_between_retries_milliseconds: 3_600_000,
    timeout_milliseconds: 30_000, timeout_with_result: 'failed', keep_history: 'all', history_days: 7, dead_days: 30,
    max_payload_bytes: 1_048_576, paused_until: null, pause_reason: null, created_at: expect.any(Date),
  })
})

test('set changes what is given, leaves the rest, and null takes a limit away', async () => {
  const config = new PgQueueConfig(db, queueName())
  await config.set({ max_concurrency: 25, max_concurrency_per_group: 2, keep_history: 'dead' })
  await config.set({ max_concurrency: null, timeout_with_result: 'paused' })
  expect(await config.get()).toMatchObject({
    max_concurrency: null, max_concurrency_per_group: 2, keep_history: 'dead', timeout_with_result: 'paused', max_attempts: 10,
  })
})

test('set refuses what is not a setting', async () => {
  const config = new PgQueueConfig(db, queueName())
  expect((await errorOf(config.set({ max_concurency: 1 } as object), 'invalid_argument')).message).toMatch(/^Expected `settings` to be made of max_concurrency, .*got 'max_concurency'/)
  await errorOf(config.set({ max_attempts: null } as never), 'invalid_argument')
  await errorOf(config.set({ max_concurrency: 0 }), 'invalid_argument')
  await errorOf(config.set({ history_days: 99 }), 'invalid_argument')
})

test('set belongs to the transaction that it is called in', async () => {
  const config = new PgQueueConfig(db, queueName())
  await expect(db.transaction(async (transaction) => {
    await config.set({ max_concurrency: 1 }, transaction)
    expect((await config.get(transaction)).max_concurrency).toBe(1)
    throw new Error('no')
  })).rejects.toThrow('no')
  await errorOf(config.get(), 'queue_not_found')
})

test('a paused queue gives no job until it is resumed', async () => {
  const queue = await newQueue(db)
  const config = queue.getConfig()
  await queue.addJob({ n: 1 })
  await config.pause({ reason: 'maintenance' })
  expect(await config.get()).toMatchObject({ paused_until: 'infinity', pause_reason: 'maintenance' })
  expect((await queue.stats()).is_paused).toBe(true)
  expect(await queue.pickNextJob()).toBeUndefined()
  const paused_until = new Date(Date.now() + 60_000)
  await config.pause({ paused_until })
  expect((await config.get()).paused_until).toEqual(paused_until)
  await config.resume()
  expect((await queue.pickNextJob())?.job.payload).toEqual({ n: 1 })
})

test('purge deletes the jobs that wait, drop refuses live jobs unless forced', async () => {
  const queue = await newQueue(db)
  await queue.addJobs([{ n: 1 }, { n: 2 }, { n: 3 }])
  await queue.pickNextJob()
  expect(await queue.getConfig().purge()).toBe(2)
  await errorOf(queue.getConfig().drop(), 'wrong_state')
  await queue.getConfig().drop({ force: true })
  await errorOf(queue.getConfig().get(), 'queue_not_found')
})
