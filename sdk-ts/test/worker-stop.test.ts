import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startWorker, type JobContext } from '../src/index.ts'
import { latch, newQueue, openDb, until } from './support.ts'

const db = openDb()

test('a graceful stop finishes what runs and takes nothing more', async () => {
  const queue = await newQueue(db)
  const ids = await queue.addJobs(Array.from({ length: 10 }, (_, n) => ({ n })))
  const go = latch()
  let begun = 0
  const worker = startWorker(queue, async () => {
    begun++
    await go.promise
    return 'done'
  }, { concurrency: 2 })
  await until(() => begun === 2)
  const stopping = worker.stop()
  await sleep(50)
  expect(worker.stats().running).toBe(2)
  go.open()
  await stopping
  const states = await Promise.all(ids.map(async (id) => (await queue.getJob(id))))
  expect(states.map((job) => job.state)).toEqual(['complete', 'complete', ...Array<string>(8).fill('ready')])
  expect(begun).toBe(2)
  await worker.stopped
})

test('a graceful stop gives back what was not begun, and uses no attempt', async () => {
  const queue = await newQueue(db)
  const ids = await queue.addJobs(Array.from({ length: 3000 }, (_, n) => ({ n })))
  const go = latch()
  const stuck = latch()
  // Fast at first, so that it prefetches.
  const worker = startWorker(queue, async ({ n }) => {
    if (n !== 1500) return
    stuck.open()
    await go.promise
  }, { concurrency: 1 })
  await stuck.promise
  await until(() => worker.stats().waiting > 0)
  const stopping = worker.stop()
  go.open()
  await stopping
  expect(await queue.stats()).toMatchObject({ running: 0 })
  expect(worker.stats().waiting).toBe(0)
  expect(worker.stats().paused).toBeGreaterThan(0)
  const left = await Promise.all(ids.slice(1501).map((id) => queue.getJob(id)))
  expect(left.every((job) => (job.state === 'ready' && job.attempt === 0) || job.state === 'complete')).toBe(true)
  expect(left.some((job) => job.state === 'ready')).toBe(true)
})

test('a hard stop aborts the signals and gives the jobs back at once', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  const begun = latch<JobContext>()
  const worker = startWorker(queue, (_payload, job) => {
    begun.open(job)
    return new Promise(() => {}) // It never ends.
  })
  const job = await begun.promise
  const { signal } = job
  await worker.stop({ hard: true })
  expect(signal.reason).toMatchObject({ code: 'worker_stopped' })
  expect(await queue.getJob(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
})

test('a graceful stop becomes a hard one after its time, and may be called again', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  const begun = latch<JobContext>()
  const worker = startWorker(queue, (_payload, job) => (begun.open(job), new Promise(() => {})))
  await begun.promise
  await Promise.all([worker.stop(), worker.stop({ timeout_milliseconds: 50 }), worker[Symbol.asyncDispose]()])
  expect(await queue.getJob(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
})

test('an aborted signal stops the worker gracefully', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  const controller = new AbortController()
  const worker = startWorker(queue, async () => {
    controller.abort()
    await sleep(20)
  }, { signal: controller.signal })
  await worker.stopped
  expect((await queue.getJob(job_id)).state).toBe('complete')
  const never = startWorker(queue, () => {}, { signal: AbortSignal.abort() })
  await never.stopped
  expect(never.stats().picked).toBe(0)
})
