import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { PgqError, startWorker, type JobContext } from '../src/index.ts'
import { latch, newQueue, openDb, stopAfterwards, until } from './support.ts'

const db = openDb()

/** Resolves with the reason when the job's signal aborts. */
function abortOf(job: JobContext): Promise<unknown> {
  return new Promise((resolve) => job.signal.addEventListener('abort', () => resolve(job.signal.reason)))
}

test('a lease is kept alive while the handler runs, however long', async () => {
  const queue = await newQueue(db, { timeout_milliseconds: 150 })
  let runs = 0
  const worker = stopAfterwards(startWorker(queue, async () => {
    runs++
    await sleep(700)
  }))
  // Another one that would take it as soon as its lease runs out.
  const thief = stopAfterwards(startWorker(queue, () => void runs++, { poll_interval_milliseconds: 20 }))
  const { job_id } = await queue.addJob({ n: 1 })
  expect((await queue.waitForResult(job_id)).attempt).toBe(1)
  await Promise.all([worker.stop(), thief.stop()])
  expect(worker.stats().lost + thief.stats().lost).toBe(0)
})

test('jobs that wait in the worker\'s line are kept alive too, or given back', async () => {
  const queue = await newQueue(db, { timeout_milliseconds: 150 })
  const ids = await queue.addJobs(Array.from({ length: 400 }, (_, n) => ({ n })))
  const worker = stopAfterwards(startWorker(queue, async ({ n }) => {
    // Fast at first, so that it prefetches, then slow.
    if (n > 200 && n < 215) await sleep(150)
  }, { concurrency: 2 }))
  const jobs = await Promise.all(ids.map((id) => queue.waitForResult(id)))
  expect(jobs.every((job) => job.state === 'complete' && job.attempt === 1)).toBe(true)
  await worker.stop()
  expect(worker.stats().lost).toBe(0)
})

test('a lost lease aborts the signal, and the result of the handler is void', async () => {
  const queue = await newQueue(db, { timeout_milliseconds: 150 })
  const aborted = latch<unknown>()
  const worker = stopAfterwards(startWorker(queue, async (_payload, job) => {
    aborted.open(await abortOf(job))
    return 'too late'
  }))
  const { job_id } = await queue.addJob({ n: 1 })
  await until(async () => (await queue.getJob(job_id)).state === 'running')
  await queue.releaseJob(job_id, 'complete', { output: 'by someone else' })
  expect(await aborted.promise).toMatchObject({ code: 'lease_lost' })
  await worker.stop()
  expect(await queue.getJob(job_id)).toMatchObject({ state: 'complete', output: 'by someone else' })
  expect(worker.stats()).toMatchObject({ complete: 0, lost: 1 })
})

test('a cancelled job aborts the signal', async () => {
  const queue = await newQueue(db, { timeout_milliseconds: 150 })
  const aborted = latch<unknown>()
  const worker = stopAfterwards(startWorker(queue, async (_payload, job) => aborted.open(await abortOf(job))))
  const { job_id } = await queue.addJob({ n: 1 })
  await until(async () => (await queue.getJob(job_id)).state === 'running')
  await queue.cancelJob(job_id)
  const reason = await aborted.promise
  expect(reason).toBeInstanceOf(PgqError)
  expect(reason).toMatchObject({ code: 'job_cancelled' })
  await worker.stop()
  expect((await queue.getJob(job_id)).state).toBe('cancelled')
})

test('a job that runs longer than max_run_milliseconds is failed and its signal aborts', async () => {
  const queue = await newQueue(db, { max_attempts: 1 })
  const aborted = latch<unknown>()
  stopAfterwards(startWorker(queue, async (_payload, job) => {
    aborted.open(await abortOf(job))
    return 'too late'
  }, { max_run_milliseconds: 100 }))
  const { job_id } = await queue.addJob({ n: 1 })
  expect(await aborted.promise).toMatchObject({ code: 'job_ran_too_long' })
  expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'dead', error: `job ${job_id} ran longer than 100 ms` })
})

test('the signal of a job that is in order does not abort', async () => {
  const queue = await newQueue(db, { timeout_milliseconds: 150 })
  stopAfterwards(startWorker(queue, async (_payload, job) => {
    const { signal } = job
    await sleep(500)
    return signal.aborted
  }))
  const { job_id } = await queue.addJob({ n: 1 })
  expect((await queue.waitForResult(job_id)).output).toBe(false)
})
