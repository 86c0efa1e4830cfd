import { describe, expect, test } from 'vitest'
import { MultiStepPgQueue, startWorker, type JobContext, type Queryable, type QueryableQuery } from '../src/index.ts'
import { errorOf, newQueue, openDb, queueName, stopAfterwards, until } from './support.ts'

const db = openDb()

interface Large { n: number; text: string }

function large(n: number, characters = 100_000): Large {
  return { n, text: `${n} née 🙂 `.repeat(characters).slice(0, characters) }
}

/** The database, and the statements that go to it: those of the transactions that the SDK begins stand in `in_transaction`. */
function spying() {
  const alone: QueryableQuery[] = []
  const in_transaction: QueryableQuery[] = []
  const noted = (on: Queryable, calls: QueryableQuery[]): Queryable => ({
    query: (query) => (calls.push(query), on.query(query)),
    exec: (sql) => on.exec(sql),
  })
  const spy: Queryable = { ...noted(db, alone), transaction: (work) => db.transaction((transaction) => work(noted(transaction, in_transaction))) }
  return { spy, alone, in_transaction }
}

describe('a large batch', () => {
  const payloads = Array.from({ length: 100 }, (_, n) => large(n))

  test('is added in several calls of one transaction, and gives the ids in the order of the payloads', async () => {
    const { spy, alone, in_transaction } = spying()
    const queue = await newQueue<Large>(spy)
    alone.length = 0
    const ids = await queue.addJobs(payloads, { group_keys: payloads.map(({ n }) => (n % 2 ? `g${n}` : null)) })
    expect(alone).toEqual([])
    expect(in_transaction).toHaveLength(3)
    for (const { args } of in_transaction) expect(args![1]!.length).toBeLessThan(4 * 2 ** 20 + 200_000)
    expect(ids).toEqual([...ids].sort((a, b) => a - b))
    expect(new Set(ids).size).toBe(100)
    for (const n of [0, 41, 42, 43, 99]) {
      expect(await queue.getJob(ids[n]!)).toMatchObject({ payload: payloads[n], group_key: n % 2 ? `g${n}` : null })
    }
  })

  test('is added as a whole or not at all', async () => {
    const queue = await newQueue<Large>(db, { max_payload_bytes: 50_000 })
    const noise = Array.from({ length: 80_000 }, () => Math.random().toString(36)[2]).join('')
    await errorOf(queue.addJobs([...payloads, { n: 100, text: noise }]), 'too_large')
    await errorOf(queue.addJobs(payloads, { group_keys: ['one for a hundred'] }), 'invalid_argument')
    expect((await queue.stats()).ready).toBe(0)
  })

  test('in a transaction of the caller is added there, and leaves nothing when one payload is none', async () => {
    const queue = await newQueue<Large | bigint>(db)
    await db.transaction(async (transaction) => {
      await errorOf(queue.addJobs([...payloads, 1n], { transaction }), 'invalid_argument')
    })
    expect((await queue.stats()).ready).toBe(0)
    await expect(db.transaction(async (transaction) => {
      expect(await queue.addJobs(payloads, { transaction })).toHaveLength(100)
      throw new Error('no')
    })).rejects.toThrow('no')
    expect((await queue.stats()).ready).toBe(0)
  })

  test('stays one call where unique keys are claimed, and where there are no transactions', async () => {
    const { spy, alone, in_transaction } = spying()
    const queue = await newQueue<Large>(spy)
    alone.length = 0
    await queue.addJobs(payloads, { unique_keys: payloads.map(({ n }) => `key ${n}`) })
    expect([alone.length, in_transaction.length]).toEqual([1, 0])
    const { transaction: _, ...without } = spy
    const bare = await newQueue<Large>(without)
    alone.length = 0
    expect(await bare.addJobs(payloads)).toHaveLength(100)
    expect(alone).toHaveLength(1)
  })
})

describe('large jobs', () => {
  /** Both ways in which picked jobs come: the first pick does not know yet that they are large, and asks for more than a few. */
  test('come with all that small ones have', async () => {
    const { spy, alone } = spying()
    const queue = await newQueue<Large>(spy)
    const ids: number[] = []
    for (let n = 0; n < 24; n++) {
      const more = n % 2 ? { headers: { trace: `t${n}` }, group_key: `g${n}`, priority: -n, max_attempts: 3, timeout_milliseconds: 60_000 } : {}
      ids.push((await queue.addJob(large(n), more)).job_id)
    }
    const picked = [...await queue.pickJobs(11), ...await queue.pickJobs(11), ...await queue.pickJobs(2)]
    const [first, ...others] = alone.filter(({ q }) => q.includes('pick_jobs')).map(({ q }) => q)
    expect(others).toHaveLength(2)
    expect(others.every((q) => q === others[0] && q !== first)).toBe(true)
    expect(picked.map(({ job }) => job.job_id)).toEqual([...ids.filter((_, n) => n % 2 === 0), ...ids.filter((_, n) => n % 2 === 1)])
    for (const { job } of picked) {
      const { payload, headers, group_key, priority, max_attempts, attempt, lease_until, added_at } = await queue.getJob(job.job_id)
      expect(job).toMatchObject({ payload, headers, group_key, priority, max_attempts, attempt, queue_name: queue.queue_name })
      // A pick rounds to milliseconds, and getJob leaves off what is beyond them.
      expect(Math.abs(job.lease_until.getTime() - lease_until!.getTime())).toBeLessThanOrEqual(1)
      expect(Math.abs(job.added_at.getTime() - added_at.getTime())).toBeLessThanOrEqual(1)
      expect(job.timeout_milliseconds).toBe(priority === 0 ? 30_000 : 60_000)
    }
    expect(await Promise.all(picked.map((handle) => handle.release('complete')))).toEqual(picked.map(() => 'complete'))
    expect(await queue.pickJobs(1)).toEqual([])
  })

  test('of several queues are told apart by a worker', async () => {
    const queues = [await newQueue<Large>(db), await newQueue<Large>(db)]
    const expected = new Map<number, string>()
    for (const queue of queues) {
      for (const id of await queue.addJobs(Array.from({ length: 40 }, (_, n) => large(n)))) expected.set(id, queue.queue_name)
    }
    const seen = new Map<number, string>()
    stopAfterwards(startWorker(queues, (_payload: Large, job: JobContext) => void seen.set(job.job_id, job.queue_name)))
    await until(() => seen.size === 80)
    expect(seen).toEqual(expected)
  })

  test('that are runs go through their steps', async () => {
    const workflow = new MultiStepPgQueue<Large>(db, queueName(), 'w', [
      { id: 'a', handler: ({ n }) => n },
      { id: 'b', handler: ({ text }, _job_id, { outputs }) => [outputs['a'], text.length] },
    ])
    const ids = await workflow.addJobs(Array.from({ length: 30 }, (_, n) => large(n)))
    stopAfterwards(startWorker(workflow))
    for (const [n, id] of ids.entries()) expect((await workflow.waitForResult(id)).output).toEqual([n, 100_000])
  })
})
