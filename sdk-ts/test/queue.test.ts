import { describe, expect, test } from 'vitest'
import { PgQueue, z, type Queryable } from '../src/index.ts'
import { errorOf, installPlain, newQueue, openDb, queueName } from './support.ts'

const db = openDb()

describe('adding', () => {
  test('all options reach the job', async () => {
    const queue = await newQueue(db)
    const start_after = new Date(Date.now() + 3_600_000)
    const { job_id, is_new } = await queue.addJob({ n: 1 }, {
      start_after, priority: 7, retries: 4, unique_key: 'u', group_key: 'g', timeout_milliseconds: 5000, timeout_with_result: 'paused',
      headers: { trace: 'x' },
    })
    expect(is_new).toBe(true)
    expect(await queue.getJob(job_id)).toMatchObject({
      job_id, queue_name: queue.queue_name, state: 'scheduled', payload: { n: 1 }, start_after, priority: 7, max_attempts: 4, unique_key: 'u',
      group_key: 'g', timeout_milliseconds: 5000, timeout_with_result: 'paused', headers: { trace: 'x' }, attempt: 0, attempts: [],
    })
  })

  test('a held unique key gives the job that holds it', async () => {
    const queue = await newQueue(db)
    const first = await queue.addJob({ n: 1 }, { unique_key: 'u' })
    expect(await queue.addJob({ n: 2 }, { unique_key: 'u' })).toEqual({ job_id: first.job_id, is_new: false })
    expect((await queue.getJob(first.job_id)).payload).toEqual({ n: 1 })
    await queue.addJob({ n: 3 }, { unique_key: 'u', on_conflict: 'replace' })
    expect((await queue.getJob(first.job_id)).payload).toEqual({ n: 3 })
  })

  test('what is not given is not sent', async () => {
    const sent: (readonly unknown[])[] = []
    const spy: Queryable = { query: (query) => (sent.push(query.args ?? []), db.query(query)), exec: (sql) => db.exec(sql) }
    const queue = await newQueue<number>(spy)
    sent.length = 0
    await queue.addJob(1)
    await queue.addJob(2, { priority: 3, group_key: 'g' })
    await queue.addJobs([3, 4], { max_attempts: 2 })
    expect(sent).toEqual([[queue.queue_name, '1'], [queue.queue_name, '2', '3', 'g'], [queue.queue_name, '3\n4', '2']])
  })

  test('a queue may have any name', async () => {
    for (const name of ['NULL', 'a,b', '{a}', '"a"', "it's", 'back\\slash', 'line\nfeed', ' née 🙂 ']) {
      const queue = new PgQueue<{ n: number }>(db, name)
      const { job_id } = await queue.addJob({ n: 1 })
      const picked = await queue.pickJobs(2)
      expect(picked.map(({ job }) => [job.job_id, job.queue_name])).toEqual([[job_id, name]])
      await picked[0]!.release('complete')
    }
  })

  test('a batch gives the ids in the order of the payloads, with keys one by one', async () => {
    const queue = await newQueue<{ text: string } | null>(db)
    const payloads = [{ text: 'line\nfeed' }, { text: '"quoted" \\ back' }, null, { text: 'née 🙂' }]
    const ids = await queue.addJobs(payloads, { unique_keys: ['a', null, 'b', 'c'], group_keys: [null, 'g', null, 'h'] })
    const jobs = await Promise.all(ids.map((id) => queue.getJob(id)))
    expect(jobs.map((job) => job.payload)).toEqual(payloads)
    expect(jobs.map((job) => job.unique_key)).toEqual(['a', null, 'b', 'c'])
    expect(jobs.map((job) => job.group_key)).toEqual([null, 'g', null, 'h'])
    expect(await queue.addJobs([])).toEqual([])
  })

  test('100 000 jobs are added in one call', { timeout: 60_000 }, async () => {
    const queue = await newQueue(db)
    const ids = await queue.addJobs(Array.from({ length: 100_000 }, (_, n) => ({ n })))
    expect(new Set(ids).size).toBe(100_000)
    expect((await queue.getJob(ids[54_321]!)).payload).toEqual({ n: 54_321 })
    await queue.getConfig().purge()
  })

  test('a job belongs to the transaction that it is added in', async () => {
    const queue = await newQueue(db)
    const rolled_back = db.transaction(async (transaction) => {
      await queue.addJob({ n: 1 }, { transaction })
      await queue.addJobs([{ n: 2 }], { transaction })
      throw new Error('no')
    })
    await expect(rolled_back).rejects.toThrow('no')
    expect((await queue.stats()).ready).toBe(0)
    const { job_id } = await db.transaction((transaction) => queue.addJob({ n: 3 }, { transaction }))
    expect((await queue.getJob(job_id)).payload).toEqual({ n: 3 })
  })

  test('bad arguments are told with what was expected and what came', async () => {
    const queue = await newQueue<unknown>(db)
    expect((await errorOf(queue.addJob(undefined), 'invalid_argument')).message).toBe('Expected `payload` to be a value that JSON can hold, got undefined')
    expect((await errorOf(queue.addJob({ n: 1n }), 'invalid_argument')).message).toMatch('BigInt')
    expect((await errorOf(queue.addJob({}, { retries: 2, max_attempts: 3 }), 'invalid_argument')).message).toMatch('Expected `retries` to be')
    expect((await errorOf(queue.addJob({}, { start_after: new Date(NaN) }), 'invalid_argument')).message).toMatch('Expected `start_after` to be a valid Date')
    await errorOf(queue.addJob({}, { priority: 1000 }), 'invalid_argument')
    await errorOf(queue.addJob({ text: '\0' }), 'invalid_argument')
    await errorOf(queue.addJob({ text: 'x'.repeat(2_000_000).split('').map(() => Math.random().toString(36)[2]).join('') }), 'too_large')
    expect((await errorOf(() => new PgQueue(db, ''), 'invalid_argument')).message).toBe("Expected `queue_name` to be a text that is not empty, got ''")
    expect((await errorOf(() => new PgQueue({} as never, 'q'), 'invalid_argument')).message).toMatch('Expected `db` to be a Queryable')
  })
})

describe('picking and releasing by hand', () => {
  test('an empty queue gives undefined, and so does one that does not exist', async () => {
    expect(await (await newQueue(db)).pickNextJob()).toBeUndefined()
    expect(await new PgQueue(db, queueName()).pickNextJob()).toBeUndefined()
  })

  test('a picked job is released with its result', async () => {
    const queue = await newQueue(db)
    const { job_id } = await queue.addJob({ n: 1 })
    const handle = (await queue.pickNextJob())!
    expect(handle.job).toMatchObject({ job_id, attempt: 1, max_attempts: 10, payload: { n: 1 }, headers: null, timeout_milliseconds: 30_000 })
    expect(handle.job.lease_until.getTime()).toBeGreaterThan(Date.now())
    expect((await handle.keepAlive({ timeout_milliseconds: 600_000 })).getTime()).toBeGreaterThan(Date.now() + 500_000)
    expect(await handle.release('complete', { output: { sum: 2 } })).toBe('complete')
    expect(await queue.getJob(job_id)).toMatchObject({ state: 'complete', output: { sum: 2 } })
    await errorOf(handle.release('complete'), 'lease_lost')
    await errorOf(handle.keepAlive(), 'lease_lost')
  })

  test('a failed job comes back, and is dead at once if it must not be retried', async () => {
    const queue = await newQueue(db)
    const { job_id } = await queue.addJob({ n: 1 })
    expect(await (await queue.pickNextJob())!.release('failed', { error: 'zero \0 inside', delay_milliseconds: 0 })).toBe('ready')
    const second = (await queue.pickNextJob())!
    expect(second.job.attempt).toBe(2)
    expect(await second.release('failed', { error: 'for good', retry: false })).toBe('dead')
    const { state, error, attempts } = await queue.getJob(job_id)
    expect({ state, error }).toEqual({ state: 'dead', error: 'for good' })
    expect(attempts.map((attempt) => attempt.outcome)).toEqual(['failed', 'failed'])
    expect(attempts[0]?.ended_at).toBeInstanceOf(Date)
  })

  test('a paused job uses no attempt', async () => {
    const queue = await newQueue(db)
    await queue.addJob({ n: 1 })
    expect(await (await queue.pickNextJob())!.release('paused', { delay_milliseconds: 60_000 })).toBe('scheduled')
    expect(await queue.pickNextJob()).toBeUndefined()
    expect(await queue.stats()).toMatchObject({ scheduled: 1, ready: 0 })
  })

  test('releaseJob takes an id and a result, in a transaction or with options', async () => {
    const queue = await newQueue(db)
    const ids = await queue.addJobs([{ n: 1 }, { n: 2 }])
    await queue.pickJobs(2)
    await expect(db.transaction(async (transaction) => {
      await queue.releaseJob(ids[0]!, 'complete', transaction)
      throw new Error('no')
    })).rejects.toThrow('no')
    expect((await queue.getJob(ids[0]!)).state).toBe('running')
    expect(await queue.releaseJob(ids[0]!, 'complete')).toBe('complete')
    expect(await queue.releaseJob(ids[1]!, 'failed', { error: 'x', retry: false })).toBe('dead')
    await errorOf(queue.releaseJob(2 ** 52, 'complete'), 'job_not_found')
    expect((await errorOf(queue.releaseJob(ids[0]!, 'done' as never), 'invalid_argument')).message)
      .toBe("Expected `result` to be 'complete', 'failed', 'paused' or 'cancelled', got 'done'")
  })

  test('a pick in a transaction is undone with it, and its release goes into the same transaction', async () => {
    const queue = await newQueue(db)
    const { job_id } = await queue.addJob({ n: 1 })
    await expect(db.transaction(async (transaction) => {
      const handle = (await queue.pickNextJob(false, transaction))!
      expect(await handle.release('complete')).toBe('complete')
      throw new Error('no')
    })).rejects.toThrow('no')
    expect(await queue.getJob(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
  })

  test('max_concurrency holds, unless it is ignored', async () => {
    const queue = await newQueue(db, { max_concurrency: 1 })
    await queue.addJobs([{ n: 1 }, { n: 2 }])
    expect(await queue.pickJobs(10)).toHaveLength(1)
    expect(await queue.pickNextJob()).toBeUndefined()
    expect((await queue.pickNextJob(true))?.job.payload).toEqual({ n: 2 })
  })
})

describe('payload schemas', () => {
  const payload_schema = z.object({ when: z.string().transform((text) => new Date(text)), times: z.number().default(1) })

  test('payloads are checked when added, and parsed when picked', async () => {
    const queue = new PgQueue(db, queueName(), { payload_schema })
    await queue.addJob({ when: '2020-01-01T00:00:00Z' })
    expect((await queue.pickNextJob())?.job.payload).toEqual({ when: new Date('2020-01-01T00:00:00Z'), times: 1 })
    const error = await errorOf(queue.addJob({ when: 5 as never }), 'payload_invalid')
    expect(error.message).toMatch(/when: .*expected string/)
    await errorOf(queue.addJobs([{ when: '2020' }, { when: 5 as never }]), 'payload_invalid')
    expect((await queue.stats()).ready).toBe(0)
  })

  test('a picked payload that does not fit makes the job dead at once, and the next has its turn', async () => {
    const queue = new PgQueue(db, queueName(), { payload_schema })
    const loose = new PgQueue<unknown>(db, queue.queue_name)
    const [bad, good] = await loose.addJobs(['no', { when: '2020' }])
    expect((await queue.pickNextJob())?.job.job_id).toBe(good)
    expect(await queue.getJob(bad!)).toMatchObject({ state: 'dead', error: expect.stringMatching('does not fit the schema') })
  })

  test('a schema may be asynchronous', async () => {
    const queue = new PgQueue(db, queueName(), { payload_schema: z.string().refine(async (text) => text === 'yes') })
    await queue.addJob('yes')
    await errorOf(queue.addJob('no'), 'payload_invalid')
    expect((await queue.pickNextJob())?.job.payload).toBe('yes')
  })

  test('ownsJob knows the jobs of its queue by name and payload', () => {
    const queue = new PgQueue(db, 'mine', { payload_schema: z.object({ n: z.number() }) })
    expect(queue.ownsJob({ job_id: 1, queue_name: 'mine', payload: { n: 1 } })).toBe(true)
    expect(queue.ownsJob({ job_id: 1, queue_name: 'mine', payload: { n: 'x' } })).toBe(false)
    expect(queue.ownsJob({ job_id: 1, queue_name: 'other', payload: { n: 1 } })).toBe(false)
    expect(queue.ownsJob({ job_id: 'x', queue_name: 'mine', payload: { n: 1 } })).toBe(false)
    expect(queue.ownsJob(null)).toBe(false)
  })
})

test('everything works in a schema with a name that needs quotes', async () => {
  await installPlain(db, 'My "SDK" Jobs')
  const queue = new PgQueue<{ n: number }>(db, 'q', 'My "SDK" Jobs')
  const { job_id } = await queue.addJob({ n: 1 })
  const handle = (await queue.pickNextJob())!
  expect(handle.job.job_id).toBe(job_id)
  await handle.release('complete')
  expect((await queue.waitForResult(job_id)).state).toBe('complete')
  expect((await queue.getConfig().set({ max_attempts: 3 })).max_attempts).toBe(3)
})
