import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { PgqError, startWorker } from '../src/index.ts'
import { newQueue, openDb, stopAfterwards, until } from './support.ts'

const db = openDb()

async function terminate(application_name: string): Promise<number> {
  return (await db.query({ q: 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', args: [application_name] })).rows.length
}

test('jobs that run and finish while all connections are lost are all recorded', async () => {
  const unstable = openDb({ application_name: 'pgq unstable' })
  const queue = await newQueue(unstable, { timeout_milliseconds: 1000, timeout_with_result: 'paused' })
  const ids = await queue.addJobs(Array.from({ length: 600 }, (_, n) => ({ n })))
  const runs = new Map<number, number>()
  const errors: unknown[] = []
  const worker = stopAfterwards(startWorker(queue, async ({ n }) => {
    runs.set(n, (runs.get(n) ?? 0) + 1)
    await sleep(10)
    return `result ${n}`
  }, { concurrency: 5, on_error: (error) => errors.push(error), poll_interval_milliseconds: 100 }))
  for (let round = 0; round < 5; round++) {
    await until(() => runs.size >= 100 * round + 20)
    await until(async () => (await terminate('pgq unstable')) > 0)
  }
  const jobs = await Promise.all(ids.map((id) => queue.waitForResult(id)))
  expect(jobs.map((job) => job.output)).toEqual(ids.map((_, n) => `result ${n}`))
  expect(errors.length).toBeGreaterThan(0)
  expect(errors.every((error) => error instanceof PgqError && error.code === 'connection_lost')).toBe(true)
  expect(worker.stats().last_error).toBe(errors.at(-1))
  await worker.stop()
  expect(worker.stats().unrecorded).toBe(0)
})

test('a result that is finished while there is no connection is recorded when there is one again', async () => {
  const unstable = openDb({ application_name: 'pgq unstable too' })
  const queue = await newQueue(unstable)
  let runs = 0
  stopAfterwards(startWorker(queue, async () => {
    runs++
    await terminate('pgq unstable too')
    return 'kept'
  }))
  const { job_id } = await queue.addJob({ n: 1 })
  const job = await until(async () => {
    const { rows } = await db.query<{ output: unknown }>({ q: 'SELECT j.output FROM pgq.get_jobs(ARRAY[$1::text::bigint]) AS j WHERE j.state = $2', args: [String(job_id), 'complete'] })
    return rows[0]
  })
  expect(job.output).toBe('kept')
  expect(runs).toBe(1)
})

test('an idle worker notices jobs again after its connections were lost', async () => {
  const unstable = openDb({ application_name: 'pgq unstable idle' })
  const queue = await newQueue(unstable)
  stopAfterwards(startWorker(queue, ({ n }) => n, { poll_interval_milliseconds: 300 }))
  await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  await terminate('pgq unstable idle')
  const add = () => queue.addJob({ n: 2 }).catch(() => undefined)
  const added = await until(add)
  expect((await queue.waitForResult(added.job_id)).output).toBe(2)
})
