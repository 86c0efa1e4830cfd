import { expect, test } from 'vitest'
import { PgQueue, type JobStatus } from '../src/index.ts'
import { errorOf, newQueue, openDb, queueName } from './support.ts'

const db = openDb()

test('listJobs reads all pages, newest first, by state', async () => {
  const queue = await newQueue(db)
  const ids = await queue.addJobs(Array.from({ length: 25 }, (_, n) => ({ n })))
  const listed: JobStatus<{ n: number }>[] = []
  for await (const job of queue.listJobs({ page_size: 10 })) listed.push(job)
  expect(listed.map((job) => job.job_id)).toEqual([...ids].reverse())
  await queue.pickJobs(3)
  const running: number[] = []
  for await (const job of queue.listJobs({ state: 'running', page_size: 2 })) running.push(job.payload.n)
  expect(running).toEqual([2, 1, 0])
  const older: number[] = []
  for await (const job of queue.listJobs({ before_job_id: ids[2]! })) older.push(job.job_id)
  expect(older).toEqual([ids[1], ids[0]])
})

test('listJobs ends when its signal aborts, and refuses states that are none', async () => {
  const queue = await newQueue(db)
  await queue.addJobs([{ n: 1 }, { n: 2 }])
  const controller = new AbortController()
  await expect((async () => {
    for await (const _ of queue.listJobs({ page_size: 1, signal: controller.signal })) controller.abort(new Error('enough'))
  })()).rejects.toThrow('enough')
  await errorOf(queue.listJobs({ state: 'gone' as never }).next(), 'invalid_argument')
})

test('stats counts the jobs of each state', async () => {
  const queue = await newQueue(db)
  await queue.addJobs([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
  await queue.addJob({ n: 5 }, { start_after: new Date(Date.now() + 60_000) })
  await (await queue.pickNextJob())!.release('complete')
  await (await queue.pickNextJob())!.release('failed', { retry: false })
  await queue.pickNextJob()
  expect(await queue.stats()).toEqual({
    queue_name: queue.queue_name, ready: 1, scheduled: 1, running: 1, held: 0, dead: 1, oldest_ready_milliseconds: expect.any(Number),
    finished_last_minute: 2, failed_share_last_minute: 0.5, is_paused: false,
  })
})

test('unknown jobs and queues are told as such', async () => {
  const queue = new PgQueue(db, queueName())
  await errorOf(queue.getJob(2 ** 52), 'job_not_found')
  await errorOf(queue.stats(), 'queue_not_found')
  await errorOf(queue.listJobs().next(), 'queue_not_found')
})
