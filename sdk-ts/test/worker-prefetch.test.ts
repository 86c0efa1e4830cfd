import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createPace } from '../src/worker-pace.ts'
import { startWorker } from '../src/index.ts'
import { latch, newQueue, openDb, stopAfterwards, until } from './support.ts'

const db = openDb()

test('a worker with slow jobs holds no more than it runs: an idle one gets the rest', async () => {
  const queue = await newQueue(db)
  const go = latch()
  await queue.addJobs(Array.from({ length: 6 }, (_, n) => ({ n })))
  const busy = stopAfterwards(startWorker(queue, () => go.promise, { concurrency: 3 }))
  await until(() => busy.stats().running === 3)
  const idle = stopAfterwards(startWorker(queue, () => go.promise, { concurrency: 10 }))
  await until(() => idle.stats().running === 3)
  expect(busy.stats()).toMatchObject({ running: 3, waiting: 0, picked: 3 })
  go.open()
})

test('a worker that was fast and gets stuck gives back what waits in its line', async () => {
  const queue = await newQueue(db)
  const go = latch()
  await queue.addJobs(Array.from({ length: 2000 }, (_, n) => ({ n })))
  const stuck = stopAfterwards(startWorker(queue, async ({ n }) => (n >= 500 ? go.promise : undefined), { concurrency: 2 }))
  await until(() => stuck.stats().running === 2 && stuck.stats().complete > 400)
  // All that is not running in it can be had by another.
  let others = 0
  const idle = stopAfterwards(startWorker(queue, () => void others++, { poll_interval_milliseconds: 50 }))
  await until(() => others === 2000 - stuck.stats().complete - 2, 5000)
  expect(stuck.stats()).toMatchObject({ running: 2, waiting: 0 })
  await idle.stop()
  go.open()
})

test('what waits in line starts soon: hardly ever later than the bound', async () => {
  const queue = await newQueue(db)
  const count = 400
  await queue.addJobs(Array.from({ length: count }, (_, n) => ({ n })))
  const waits: number[] = []
  const worker = stopAfterwards(startWorker(queue, async (_payload, job) => {
    waits.push(worker.stats().waiting)
    void job
    await sleep(5)
  }, { concurrency: 4 }))
  await until(() => worker.stats().complete === count)
  // 0.8 jobs a millisecond at most: what starts within 50 ms is 40 jobs.
  expect(Math.max(...waits)).toBeLessThanOrEqual(40)
})

test('the pace follows the rate of the last moments', () => {
  const pace = createPace(0)
  expect(pace.prefetch(1)).toBe(0)
  for (let now = 1; now <= 100; now++) {
    for (let n = 0; n < 50; n++) pace.ended()
    pace.called(10)
    pace.prefetch(now)
  }
  // 50 a millisecond for four calls of 10 ms.
  expect(pace.prefetch(100.1)).toBeGreaterThan(1500)
  expect(pace.prefetch(100.1)).toBeLessThanOrEqual(2000)
  for (let now = 200; now <= 1200; now += 100) pace.prefetch(now)
  expect(pace.prefetch(1300)).toBeLessThan(50)
  pace.reset()
  expect(pace.prefetch(1400)).toBe(0)
})
