import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { PgqError, type FinishedStep, type JobSource, type PickedJob, type ReleaseBatch } from '../src/index.ts'
import { nextOutcome } from '../src/outcome.ts'
import { runWorker } from '../src/worker-loop.ts'
import { workerSettings } from '../src/worker-options.ts'
import { until } from './support.ts'

/** A source in memory that writes down what it is asked. */
function memorySource(count: number, changes: Partial<JobSource> = {}) {
  const asked: string[] = []
  const released: ReleaseBatch[] = []
  let next = 1
  const take = (max_jobs: number): PickedJob[] => Array.from({ length: Math.min(max_jobs, count - next + 1) }, () => ({
    job_id: next++, lease_token: 1, queue_name: 'q', attempt: 1, max_attempts: 10, payload: null, headers: null, priority: 0, group_key: null,
    added_at: 1_577_836_800_000, lease_until: 1_577_836_830_000, timeout_milliseconds: 30_000,
  }))
  const source: JobSource = {
    bytes_per_job: 0,
    async pick({ max_jobs }) {
      asked.push(`pick ${max_jobs}`)
      return take(max_jobs)
    },
    async release(batch) {
      asked.push(`release ${batch.leases.length} ${batch.result}`)
      released.push(batch)
      return []
    },
    async releaseAndPick(batch, { max_jobs }) {
      asked.push(`release ${batch.leases.length} ${batch.result} and pick ${max_jobs}`)
      released.push(batch)
      return take(max_jobs)
    },
    releaseOne: () => Promise.reject(new Error('not used')),
    keepAlive: async (leases) => leases.map(({ job_id }) => ({ job_id, state: 'running', lease_until: '2020-01-01T00:00:30Z' })),
    keepOneAlive: () => Promise.reject(new Error('not used')),
    async announceIdle() {
      asked.push('announce idle')
      return null
    },
    announceBusy: async () => void asked.push('announce busy'),
    maintain: async () => {},
    listen: undefined,
    ...changes,
  }
  const done = () => released.reduce((sum, batch) => sum + batch.leases.length, 0)
  return { source, asked, released, done }
}

const settings = workerSettings({ worker: 'w', concurrency: 4, poll_interval_milliseconds: 60_000 })

test('large jobs come in small batches, so that no answer is much larger than a megabyte', async () => {
  const { source, asked, done } = memorySource(5000, { bytes_per_job: 100_000 })
  const worker = runWorker(source, ['q'], () => undefined, workerSettings({ worker: 'w', concurrency: 50, poll_interval_milliseconds: 60_000 }))
  await until(() => done() === 5000)
  await worker.stop()
  const picks = asked.map((call) => Number(/pick (\d+)/.exec(call)?.[1] ?? 0))
  expect(Math.max(...picks)).toBe(10)
})

test('one call records the last results and picks the next, and batches grow', async () => {
  const { source, asked, done } = memorySource(50_000)
  const worker = runWorker(source, ['q'], () => undefined, settings)
  await until(() => done() === 50_000)
  await worker.stop()
  expect(asked[0]).toBe('pick 4')
  expect(asked[1]).toMatch(/^release 4 complete and pick/)
  // Far fewer calls than jobs.
  expect(asked.length).toBeLessThan(500)
})

test('steps that say what comes next are finished together, and then the next jobs are picked', async () => {
  const finished: FinishedStep[][] = []
  const { source, asked } = memorySource(4, {
    finishSteps: async (steps) => {
      finished.push([...steps])
      return steps.filter(({ job_id }) => job_id === 2).map(({ job_id }) => job_id)
    },
  })
  const worker = runWorker(source, ['q'], ({ job_id }) => nextOutcome(`of ${job_id}`, { step: 'x' }), settings)
  await until(() => asked.length >= 2)
  await worker.stop()
  expect(finished).toEqual([[1, 2, 3, 4].map((job_id) => ({ job_id, lease_token: 1, output: `"of ${job_id}"`, next: '{"step":"x"}' }))])
  expect(asked.slice(0, 2)).toEqual(['pick 4', 'pick 4'])
  expect(worker.stats()).toMatchObject({ picked: 4, complete: 3, lost: 1 })
})

test('a worker that finds nothing announces itself, looks once more and waits', async () => {
  const { source, asked } = memorySource(0)
  const worker = runWorker(source, ['q'], () => undefined, settings)
  await until(() => asked.length >= 4)
  await sleep(100)
  // The second look is for what was being added meanwhile.
  expect(asked).toEqual(['pick 4', 'announce idle', 'pick 4', 'pick 4'])
  await worker.stop()
  expect(asked.at(-1)).toBe('announce busy')
})

test('results of one turn go together, also when they differ', async () => {
  const { source, asked, done } = memorySource(4)
  const worker = runWorker(source, ['q'], (job) => {
    if (job.job_id === 2) throw new Error('no')
  }, settings)
  await until(() => done() === 4)
  await worker.stop()
  expect(asked.slice(1, 3)).toEqual(['release 1 failed', expect.stringMatching(/^release 3 complete and pick/)])
})

test('a lost lease in a batch costs only that job', async () => {
  const lost: JobSource['release'] = async ({ leases }) => leases.filter((lease) => lease.job_id === 2).map((lease) => lease.job_id)
  const { source } = memorySource(4, {
    release: lost,
    releaseAndPick: () => Promise.reject(new PgqError('lease_lost', 'the lease of job 2 was lost')),
  })
  const worker = runWorker(source, ['q'], () => undefined, settings)
  await until(() => worker.stats().complete === 3)
  expect(worker.stats()).toMatchObject({ complete: 3, lost: 1, last_error: undefined })
  await worker.stop()
})

test('results are kept and tried again while calls fail, and no error is swallowed', async () => {
  let failures = 3
  const errors: unknown[] = []
  const memory = memorySource(4)
  const { releaseAndPick } = memory.source
  const flaky: JobSource = {
    ...memory.source,
    async releaseAndPick(batch, request) {
      if (failures-- > 0) throw new PgqError('connection_lost', 'gone')
      return releaseAndPick(batch, request)
    },
  }
  const worker = runWorker(flaky, ['q'], () => undefined, { ...settings, on_error: (error) => errors.push(error) })
  await until(() => worker.stats().complete === 4)
  expect(errors).toHaveLength(3)
  expect(memory.done()).toBe(4)
  await worker.stop()
})

test('a hard stop gives up after a while when nothing can be recorded, and says so', { timeout: 15_000 }, async () => {
  const errors: PgqError[] = []
  const gone = () => Promise.reject(new PgqError('connection_lost', 'gone'))
  const { source } = memorySource(1, { release: gone, releaseAndPick: gone })
  const worker = runWorker(source, ['q'], () => undefined, { ...settings, on_error: (error) => errors.push(error as PgqError) })
  await until(() => errors.length > 0)
  await worker.stop({ hard: true })
  expect(errors.at(-1)).toMatchObject({ code: 'worker_stopped', message: expect.stringMatching('without recording 1 results') })
})

test('handlers that block the process leave room for sockets and timers', async () => {
  const { source, done } = memorySource(400)
  let since_tick = 0
  let most_without_tick = 0
  const timer = setInterval(() => (since_tick = 0), 1)
  const worker = runWorker(source, ['q'], () => {
    most_without_tick = Math.max(most_without_tick, ++since_tick)
    const end = performance.now() + 0.5
    while (performance.now() < end);
  }, { ...settings, concurrency: 2000 })
  await until(() => done() === 400)
  clearInterval(timer)
  await worker.stop()
  // A turn of 10 ms has 20 at most, and two turns may come one after the other.
  expect(most_without_tick).toBeLessThan(60)
})
