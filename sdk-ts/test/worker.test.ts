import { describe, expect, test } from 'vitest'
import { completeJob, failJob, pauseJob, PgQueue, startWorker, z, type JobContext } from '../src/index.ts'
import { errorOf, latch, newQueue, openDb, queueName, stopAfterwards, until } from './support.ts'

const db = openDb()

describe('results', () => {
  test('what a handler returns is the result, and what it throws is the error', async () => {
    const queue = await newQueue<string>(db, { max_attempts: 1 })
    const handler = async (payload: string): Promise<unknown> => {
      switch (payload) {
        case 'nothing': return undefined
        case 'value': return { sum: 3 }
        case 'null': return null
        case 'complete': return 'complete'
        case 'failed': return 'failed'
        case 'a word': return completeJob('failed')
        case 'circular': { const circle: { self?: unknown } = {}; circle.self = circle; return circle }
        case 'zero': return { text: 'a\0b' }
        case 'thrown text': throw 'just text'
        default: throw new TypeError('bad input', { cause: new Error('the cause') })
      }
    }
    stopAfterwards(startWorker(queue, handler))
    const run = async (payload: string) => {
      const { state, output, error } = await queue.waitForResult((await queue.addJob(payload)).job_id)
      return { state, output, error }
    }
    const complete = { state: 'complete', output: null, error: null }
    expect(await run('nothing')).toEqual(complete)
    expect(await run('value')).toEqual({ ...complete, output: { sum: 3 } })
    expect(await run('null')).toEqual(complete)
    expect(await run('complete')).toEqual(complete)
    expect(await run('a word')).toEqual({ ...complete, output: 'failed' })
    expect(await run('failed')).toEqual({ state: 'dead', output: null, error: "the handler returned 'failed'" })
    expect((await run('circular')).error).toMatch('circular structure')
    expect((await run('zero')).error).toMatch('its result could not be stored')
    expect((await run('thrown text')).error).toBe('just text')
    const { state, error } = await run('else')
    expect(state).toBe('dead')
    expect(error).toMatch(/^TypeError: bad input\n\s+at handler .*worker\.test\.ts.*\n[^]*caused by Error: the cause\n/)
    expect(error).not.toMatch('worker-loop')
  })

  test('a result that cannot be stored does not harm those of other jobs', async () => {
    const queue = await newQueue(db, { max_attempts: 1 })
    const ids = await queue.addJobs(Array.from({ length: 20 }, (_, n) => ({ n })))
    stopAfterwards(startWorker(queue, ({ n }) => (n === 7 ? '\0' : n), { concurrency: 20 }))
    const states = await Promise.all(ids.map(async (id) => (await queue.waitForResult(id)).state))
    expect(states).toEqual(ids.map((_, n) => (n === 7 ? 'dead' : 'complete')))
  })

  test('a failed job is tried again until its attempts are used up', async () => {
    const queue = await newQueue(db, { pause_between_retries_milliseconds: 10, max_attempts: 3 })
    const attempts: number[] = []
    stopAfterwards(startWorker(queue, (_payload, job) => { attempts.push(job.attempt); throw new Error(`no ${job.attempt}`) }))
    const { job_id } = await queue.addJob({ n: 1 })
    expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'dead', error: expect.stringMatching('no 3') })
    expect(attempts).toEqual([1, 2, 3])
  })

  test('failJob with retry: false is dead at once, returned or thrown', async () => {
    const queue = await newQueue(db)
    stopAfterwards(startWorker(queue, ({ n }) => {
      if (n === 1) return failJob('no such customer', { retry: false })
      throw failJob(new Error('thrown'), { retry: false })
    }))
    const ids = await queue.addJobs([{ n: 1 }, { n: 2 }])
    const jobs = await Promise.all(ids.map((id) => queue.waitForResult(id)))
    expect(jobs.map((job) => [job.state, job.attempt])).toEqual([['dead', 1], ['dead', 1]])
    expect(jobs[0]?.error).toBe('no such customer')
  })

  test('pauseJob and failJob take a delay, and a pause uses no attempt', async () => {
    const queue = await newQueue(db)
    const seen: [number, string][] = []
    stopAfterwards(startWorker(queue, (_payload, job) => {
      seen.push([job.attempt, job.queue_name])
      if (seen.length === 1) return pauseJob({ delay_milliseconds: 30 })
      if (seen.length === 2) return 'paused'
      return failJob('later', { delay_milliseconds: 3_600_000 })
    }))
    const { job_id } = await queue.addJob({ n: 1 })
    // A pause leaves no trace in the history; the failure does.
    await until(async () => (await queue.getJob(job_id)).attempts.length === 1)
    expect(seen.map(([attempt]) => attempt)).toEqual([1, 1, 1])
    const job = await queue.getJob(job_id)
    expect(job.state).toBe('scheduled')
    expect(job.start_after!.getTime()).toBeGreaterThan(Date.now() + 3_000_000)
  })

  test('a payload that does not fit the schema makes the job dead at once, and the handler is not called', async () => {
    const queue = new PgQueue(db, queueName(), { payload_schema: z.object({ n: z.number() }) })
    const seen: number[] = []
    const { job_id } = await new PgQueue<unknown>(db, queue.queue_name).addJob({ n: 'x' })
    stopAfterwards(startWorker(queue, ({ n }) => void seen.push(n)))
    await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
    expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'dead', attempt: 1, error: expect.stringMatching(/does not fit .*n: /) })
    expect(seen).toEqual([1])
  })
})

describe('the job in the handler', () => {
  test('tells all about the job', async () => {
    const queue = await newQueue(db)
    const seen = latch<JobContext>()
    stopAfterwards(startWorker(queue, (_payload, job) => seen.open(job)))
    const { job_id } = await queue.addJob({ n: 1 }, { headers: { trace: 'x' }, group_key: 'g', priority: 3, max_attempts: 4, timeout_milliseconds: 7000 })
    const job = await seen.promise
    expect(job).toMatchObject({
      job_id, queue_name: queue.queue_name, attempt: 1, max_attempts: 4, headers: { trace: 'x' }, group_key: 'g', priority: 3, timeout_milliseconds: 7000,
    })
    expect(Math.abs(job.added_at.getTime() - Date.now())).toBeLessThan(10_000)
    expect(job.signal.aborted).toBe(false)
  })

  test('can be released in a transaction with your own writes', async () => {
    const queue = await newQueue(db)
    await db.exec('CREATE TABLE IF NOT EXISTS sdk_effects (job_id bigint)')
    const worker = stopAfterwards(startWorker(queue, (_payload, job) => db.transaction(async (transaction) => {
      await transaction.query({ q: 'INSERT INTO sdk_effects VALUES ($1::text::bigint)', args: [String(job.job_id)] })
      await job.release('complete', { transaction, output: 'in one' })
      if (job.attempt === 1) throw new Error('rolls back')
    })))
    const { job_id } = await queue.addJob({ n: 1 })
    expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'complete', output: 'in one', attempt: 2 })
    const { rows } = await db.query({ q: 'SELECT FROM sdk_effects WHERE job_id = $1::text::bigint', args: [String(job_id)] })
    expect(rows).toHaveLength(1)
    expect(worker.stats()).toMatchObject({ failed: 1, lost: 0 })
  })

  test('a place that is free after a release by the handler is used at once', async () => {
    const queue = await newQueue(db)
    await queue.addJobs(Array.from({ length: 20 }, (_, n) => ({ n })))
    const worker = stopAfterwards(startWorker(queue, async (_payload, job) => void (await job.release('complete')), {
      concurrency: 1, poll_interval_milliseconds: 60_000,
    }))
    await until(async () => (await queue.stats()).finished_last_minute === 20)
    await worker.stop()
    expect(worker.stats()).toMatchObject({ picked: 20, lost: 0, running: 0 })
  })

  test('can be kept alive by hand', async () => {
    const queue = await newQueue(db)
    stopAfterwards(startWorker(queue, (_payload, job) => job.keepAlive({ timeout_milliseconds: 600_000 })))
    const { job_id } = await queue.addJob({ n: 1 })
    const { output } = await queue.waitForResult(job_id)
    expect(new Date(output as string).getTime()).toBeGreaterThan(Date.now() + 500_000)
  })
})

describe('sharing', () => {
  test('two workers share the line and each job runs once', async () => {
    const queue = await newQueue(db)
    const ids = await queue.addJobs(Array.from({ length: 3000 }, (_, n) => ({ n })))
    const runs = new Map<number, string[]>()
    const workers = ['one', 'two'].map((worker) => stopAfterwards(startWorker(queue, async ({ n }) => {
      runs.set(n, [...(runs.get(n) ?? []), worker])
      await new Promise((resolve) => setTimeout(resolve, 1))
    }, { worker: `${worker} ${process.pid}` })))
    await until(() => runs.size === ids.length)
    await Promise.all(workers.map((worker) => worker.stop()))
    expect([...runs.values()].every((who) => who.length === 1)).toBe(true)
    expect(await queue.stats()).toMatchObject({ ready: 0, running: 0 })
    const [one, two] = workers.map((worker) => worker.stats().complete)
    expect(one! + two!).toBe(3000)
    expect(Math.min(one!, two!)).toBeGreaterThan(500)
  })

  test('never more jobs run at once than the concurrency', async () => {
    const queue = await newQueue(db)
    await queue.addJobs(Array.from({ length: 200 }, (_, n) => ({ n })))
    let running = 0
    let most = 0
    const worker = stopAfterwards(startWorker(queue, async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
      running--
    }, { concurrency: 7 }))
    await until(() => worker.stats().complete === 200)
    expect(most).toBe(7)
  })

  test('one worker serves several queues', async () => {
    const first = await newQueue<number>(db)
    const second = await newQueue<string>(db)
    const seen = new Map<string, unknown>()
    stopAfterwards(startWorker([first, second], (payload, job) => void seen.set(job.queue_name, payload)))
    await first.addJob(1)
    await second.addJob('two')
    await until(() => seen.size === 2)
    expect(seen.get(first.queue_name)).toBe(1)
    expect(seen.get(second.queue_name)).toBe('two')
  })
})

describe('waking up', () => {
  const isIdle = async (queue: PgQueue<{ n: number }>): Promise<boolean> =>
    (await db.query({ q: 'SELECT FROM pgq.idle_worker AS w JOIN pgq.queue AS q USING (queue_id) WHERE q.queue_name = $1', args: [queue.queue_name] })).rows.length > 0

  test('a notification wakes an idle worker long before its poll', async () => {
    const queue = await newQueue(db)
    stopAfterwards(startWorker(queue, () => {}, { poll_interval_milliseconds: 60_000 }))
    await until(() => isIdle(queue))
    for (let n = 0; n < 5; n++) {
      const { job_id } = await queue.addJob({ n })
      expect(await queue.waitForResult(job_id, { timeout_milliseconds: 5000 })).toMatchObject({ state: 'complete' })
    }
  })

  test('a scheduled job starts when it is due, not at the next poll', async () => {
    const queue = await newQueue(db)
    const started: number[] = []
    const start_after = new Date(Date.now() + 500)
    await queue.addJob({ n: 1 }, { start_after })
    stopAfterwards(startWorker(queue, () => void started.push(Date.now()), { poll_interval_milliseconds: 60_000 }))
    await until(() => started.length === 1)
    expect(started[0]! - start_after.getTime()).toBeGreaterThanOrEqual(-2)
  })

  test('a job that is scheduled while a worker waits starts when it is due, not at the next poll', async () => {
    const queue = await newQueue(db)
    stopAfterwards(startWorker(queue, () => {}, { poll_interval_milliseconds: 60_000 }))
    await until(() => isIdle(queue))
    const { job_id } = await queue.addJob({ n: 1 }, { start_after: new Date(Date.now() + 500) })
    expect(await queue.waitForResult(job_id, { timeout_milliseconds: 10_000 })).toMatchObject({ state: 'complete' })
  })

  test('a retry starts when it is due, not at the next poll', async () => {
    const queue = await newQueue(db, { pause_between_retries_milliseconds: 100 })
    const { job_id } = await queue.addJob({ n: 1 })
    stopAfterwards(startWorker(queue, (_payload, job) => { if (job.attempt < 3) throw new Error('again') }, { poll_interval_milliseconds: 60_000 }))
    expect(await queue.waitForResult(job_id, { timeout_milliseconds: 5000 })).toMatchObject({ state: 'complete', attempt: 3 })
  })

  test('a worker that cannot listen polls', async () => {
    const deaf = openDb({ transaction_pooler: true })
    expect(deaf.listen).toBeUndefined()
    const queue = await newQueue(deaf)
    stopAfterwards(startWorker(queue, () => {}, { poll_interval_milliseconds: 50 }))
    await until(() => isIdle(queue))
    const { job_id } = await queue.addJob({ n: 1 })
    expect((await queue.waitForResult(job_id, { timeout_milliseconds: 5000 })).state).toBe('complete')
  })
})

test('bad arguments are told with what was expected and what came', async () => {
  const queue = await newQueue(db)
  const messageOf = async (work: () => unknown) => (await errorOf(work, 'invalid_argument')).message
  expect(await messageOf(() => startWorker(queue, () => {}, { concurrency: 0 }))).toBe('Expected `concurrency` to be a whole number from 1 to 100000, got 0')
  expect(await messageOf(() => startWorker(queue, 5 as never))).toBe('Expected `handler` to be a function, got 5')
  expect(await messageOf(() => startWorker([], () => {}))).toBe('Expected `queues` to be a PgQueue, a MultiStepPgQueue or several, got an array')
  expect(await messageOf(() => startWorker('q' as never, () => {}))).toBe("Expected `queues` to be a PgQueue, a MultiStepPgQueue or several, got 'q'")
  expect(await messageOf(() => startWorker([queue, new PgQueue(db, 'q', 'other')], () => {}))).toMatch('queues of one database and one schema')
})
