import { expect, test } from 'vitest'
import type { Queryable } from '../src/index.ts'
import { errorOf, newQueue, openDb } from './support.ts'

const db = openDb()

test('a job that finished before is met at once', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  await (await queue.pickNextJob())!.release('complete', { output: [1, 'two'] })
  expect(await queue.waitForResult(job_id, { timeout_milliseconds: 1000 })).toMatchObject({ state: 'complete', output: [1, 'two'] })
})

test('a job that finishes later is met, dead and cancelled ones too', async () => {
  const queue = await newQueue(db)
  const ids = await queue.addJobs([{ n: 1 }, { n: 2 }, { n: 3 }])
  const waiting = Promise.all(ids.map((id) => queue.waitForResult(id)))
  await (await queue.pickNextJob())!.release('complete')
  await (await queue.pickNextJob())!.release('failed', { error: 'bad', retry: false })
  await queue.cancelJob(ids[2]!)
  expect((await waiting).map((job) => [job.job_id, job.state, job.error !== null])).toEqual([
    [ids[0], 'complete', false], [ids[1], 'dead', true], [ids[2], 'cancelled', expect.any(Boolean)],
  ])
})

test('all that wait on one database share one poller', async () => {
  let queries = 0
  const counted: Queryable = { query: (query) => (queries++, db.query(query)), exec: (sql) => db.exec(sql) }
  const queue = await newQueue(counted)
  const ids = await queue.addJobs(Array.from({ length: 200 }, (_, n) => ({ n })))
  const waiting = Promise.all(ids.map((id) => queue.waitForResult(id)))
  queries = 0
  for (const handle of await queue.pickJobs(200)) if (handle.job.payload.n === 0) await handle.release('complete')
  await queue.waitForResult(ids[0]!)
  await db.query({ q: 'SELECT pg_sleep(0.5)' })
  expect(queries).toBeLessThan(30)
  for (const id of ids.slice(1)) await queue.releaseJob(id, 'complete')
  expect(await waiting).toHaveLength(200)
})

test('waiting ends by time, by signal, and for a job that is not there', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  expect((await errorOf(queue.waitForResult(job_id, { timeout_milliseconds: 50 }), 'wait_timed_out')).message)
    .toBe(`job ${job_id} did not finish within 50 ms`)
  const controller = new AbortController()
  const waiting = queue.waitForResult(job_id, { signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  await errorOf(queue.waitForResult(2 ** 52), 'job_not_found')
})

test('a job that leaves no history is told as gone', async () => {
  const queue = await newQueue(db, { keep_history: 'none' })
  const { job_id } = await queue.addJob({ n: 1 })
  const waiting = errorOf(queue.waitForResult(job_id), 'job_not_found')
  await db.query({ q: 'SELECT pg_sleep(0.1)' })
  await (await queue.pickNextJob())!.release('complete')
  expect((await waiting).message).toMatch('keeps no history')
})
