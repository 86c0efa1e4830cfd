import { expect, test } from 'vitest'
import { errorOf, newQueue, openDb } from './support.ts'

const db = openDb()

test('a waiting job can be cancelled once', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  await queue.cancelJob(job_id, { reason: 'changed my mind' })
  expect(await queue.getJob(job_id)).toMatchObject({ state: 'cancelled', error: expect.stringMatching('changed my mind') })
  await errorOf(queue.cancelJob(job_id), 'job_in_another_state')
  await errorOf(queue.cancelJob(2 ** 52), 'job_not_found')
  expect((await errorOf(queue.cancelJob(0.5), 'invalid_argument')).message).toBe('Expected `job_id` to be a whole number from 1, got 0.5')
})

test('a finished job can be retried', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  await errorOf(queue.retryJob(job_id), 'job_in_another_state')
  await (await queue.pickNextJob())!.release('failed', { retry: false })
  await queue.retryJob(job_id)
  expect(await queue.getJob(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
  expect((await queue.pickNextJob())?.job.attempt).toBe(1)
})

test('dead jobs are brought back by error, counted first', async () => {
  const queue = await newQueue(db)
  await queue.addJobs([{ n: 1 }, { n: 2 }, { n: 3 }])
  for (const error of ['http 503', 'http 404', 'http 503']) await (await queue.pickNextJob())!.release('failed', { error, retry: false })
  expect(await queue.redriveJobs({ error_like: '%503%', preview: true })).toBe(2)
  expect(await queue.stats()).toMatchObject({ ready: 0, dead: 3 })
  expect(await queue.redriveJobs({ error_like: '%503%', dead_since: new Date(Date.now() - 60_000), max_jobs: 1 })).toBe(1)
  expect(await queue.redriveJobs({ dead_until: new Date(Date.now() - 60_000) })).toBe(0)
  expect(await queue.redriveJobs()).toBe(2)
  expect(await queue.stats()).toMatchObject({ ready: 3, dead: 0 })
})

test('a waiting job can be rescheduled, in a transaction too', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  const later = new Date(Date.now() + 60_000)
  await db.transaction((transaction) => queue.rescheduleJob(job_id, later, { transaction }))
  expect(await queue.getJob(job_id)).toMatchObject({ state: 'scheduled', start_after: later })
  await queue.rescheduleJob(job_id, new Date())
  await queue.pickNextJob()
  await errorOf(queue.rescheduleJob(job_id, later), 'job_in_another_state')
})
