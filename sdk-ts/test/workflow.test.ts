import { describe, expect, test } from 'vitest'
import { completeJob, failJob, MultiStepPgQueue, pauseJob, startWorker, steps, z, type PgqError, type Step } from '../src/index.ts'
import { errorOf, newQueue, openDb, queueName, stopAfterwards, until } from './support.ts'
import { newWorkflow, runOf, work } from './workflow-support.ts'

const db = openDb()

describe('a run', () => {
  test('goes through the steps in their order, under one id, and ends with the output of the last', async () => {
    const seen: unknown[] = []
    const workflow = await newWorkflow(db, ['a', 'b', 'c'].map((id): Step<{ n: number }> => ({
      id,
      handler: (payload, job_id, { step, outputs, attempt }) => {
        seen.push([step, job_id, payload, outputs, attempt])
        return { of: id }
      },
    })))
    const run = await runOf(workflow, { n: 1 })
    expect(run).toMatchObject({ state: 'complete', output: { of: 'c' } })
    const { job_id } = run
    expect(seen).toEqual([
      ['a', job_id, { n: 1 }, {}, 1], ['b', job_id, { n: 1 }, { a: { of: 'a' } }, 1], ['c', job_id, { n: 1 }, { a: { of: 'a' }, b: { of: 'b' } }, 1],
    ])
  })

  test('goes on after nothing and after the word complete, and gives back at the word paused', async () => {
    const seen: string[] = []
    let is_paused = false
    const workflow = await newWorkflow(db, [
      { id: 'nothing', handler() { seen.push('nothing') } },
      { id: 'word', handler: () => (seen.push('word'), 'complete') },
      {
        id: 'paused',
        handler: (_payload, _job_id, { attempt }) => {
          seen.push(`paused ${attempt}`)
          return is_paused ? undefined : ((is_paused = true), 'paused')
        },
      },
    ])
    expect(await runOf(workflow, { n: 1 })).toMatchObject({ state: 'complete', output: null })
    expect(seen).toEqual(['nothing', 'word', 'paused 1', 'paused 1'])
  })

  test('does a failed step again, and no other; attempts count anew at each step', async () => {
    const seen: string[] = []
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: (_payload, _job_id, { attempt }) => (seen.push(`a${attempt}`), attempt < 2 ? 'failed' : 'done') },
      {
        id: 'b',
        handler: (_payload, _job_id, { attempt, outputs }) => {
          seen.push(`b${attempt} ${outputs['a']}`)
          if (attempt < 3) throw new Error('no')
        },
      },
    ])
    expect(await runOf(workflow, { n: 1 })).toMatchObject({ state: 'complete' })
    expect(seen).toEqual(['a1', 'a2', 'b1 done', 'b2 done', 'b3 done'])
  })

  test('is dead when a step has used its attempts, and keeps what it had', async () => {
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: () => 5 },
      { id: 'b', max_attempts: 2, handler: () => { throw new Error('the reason') } },
    ])
    const run = await runOf(workflow, { n: 1 })
    expect(run).toMatchObject({ state: 'dead', attempt: 2, error: expect.stringContaining('the reason') })
    expect(run.error).not.toContain('run-step')
  })

  test('goes on where it died when it is retried, and from any step when asked', async () => {
    const seen: string[] = []
    let is_well = false
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: () => (seen.push('a'), 5) },
      { id: 'b', handler: (_payload, _job_id, { outputs }) => (seen.push(`b ${outputs['a']}`), is_well ? 6 : failJob('no', { retry: false })) },
      { id: 'c', handler: (_payload, _job_id, { outputs }) => (seen.push(`c ${outputs['b']}`), undefined) },
    ])
    work(workflow)
    const { job_id } = await workflow.addJob({ n: 1 })
    expect(await workflow.waitForResult(job_id)).toMatchObject({ state: 'dead' })
    is_well = true
    await workflow.getRawQueue().retryJob(job_id)
    expect(await workflow.waitForResult(job_id)).toMatchObject({ state: 'complete' })
    expect(seen).toEqual(['a', 'b 5', 'b 5', 'c 6'])
    await workflow.retryFromStep(job_id, 'b')
    expect(await workflow.waitForResult(job_id)).toMatchObject({ state: 'complete' })
    expect(seen.slice(4)).toEqual(['b 5', 'c 6'])
    await errorOf(workflow.retryFromStep(job_id, 'nowhere'), 'invalid_argument')
    await errorOf(workflow.retryFromStep(2 ** 52), 'job_not_found')
  })

  test('is dead at once when its payload does not fit the schema', async () => {
    const { queue_name } = await newQueue(db)
    const workflow = new MultiStepPgQueue(db, queue_name, 'w', [{ id: 'a', handler: () => 1 }], z.object({ n: z.number() }))
    // @ts-expect-error A payload of another type.
    await errorOf(workflow.addJob({ n: 'x' }), 'payload_invalid')
    await workflow.define()
    const loose = await workflow.getRawQueue().addJob({ n: 1 }, { workflow: 'w' })
    await db.query({ q: `UPDATE pgq.job SET payload = '{"n": "x"}' WHERE job_id = $1::text::bigint`, args: [`${loose.job_id}`] })
    work(workflow)
    expect(await workflow.waitForResult(loose.job_id)).toMatchObject({ state: 'dead', attempt: 1, error: expect.stringContaining('does not fit') })
  })

  test('has its payload parsed, and its outputs as JSON brings them back', async () => {
    const { queue_name } = await newQueue(db)
    const schema = z.object({ born: z.string().transform((text) => new Date(text)) })
    const list = steps(schema)
      .step({ id: 'a', handler: ({ born }) => ({ year: born.getUTCFullYear(), born }) })
      .step({ id: 'b', handler: (_payload, _job_id, { outputs }) => [outputs.a.year + 1, outputs.a.born] })
    const workflow = new MultiStepPgQueue(db, queue_name, 'w', list)
    const { job_id } = await workflow.addJob({ born: '2001-02-03' })
    work(workflow)
    expect(await workflow.waitForResult(job_id)).toMatchObject({ state: 'complete', output: [2002, '2001-02-03T00:00:00.000Z'] })
  })

  test('takes completeJob, failJob and pauseJob as any job does', async () => {
    let pauses = 0
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: () => completeJob('failed') },
      { id: 'b', handler: () => (pauses++ === 0 ? pauseJob() : undefined) },
      { id: 'c', handler: (_payload, _job_id, { attempt }) => (attempt === 1 ? failJob('no', { delay_milliseconds: 1 }) : 'x') },
    ])
    expect(await runOf(workflow, { n: 1 })).toMatchObject({ state: 'complete', output: 'x', attempt: 2 })
    expect(pauses).toBe(2)
  })
})

describe('adding', () => {
  test('a batch of runs is started in one call, and all options of jobs hold', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: ({ n }) => n * 2 }])
    const ids = await workflow.addJobs([{ n: 1 }, { n: 2 }], { group_keys: ['g', null] })
    work(workflow)
    expect(await Promise.all(ids.map(async (id) => (await workflow.waitForResult(id)).output))).toEqual([2, 4])
    const held = await workflow.addJob({ n: 1 }, { start_after: new Date(Date.now() + 60_000), unique_key: 'u', headers: { h: 1 } })
    expect(await workflow.addJob({ n: 1 }, { unique_key: 'u' })).toEqual({ job_id: held.job_id, is_new: false })
    expect(await workflow.getRawQueue().getJob(held.job_id)).toMatchObject({ state: 'scheduled', headers: { h: 1 }, workflow: 'w', workflow_version: 1, step: 'a' })
  })

  test('a run belongs to the transaction that it is added in, also the first run of all', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: () => 1 }])
    const rolled_back = db.transaction(async (transaction) => {
      await workflow.addJob({ n: 1 }, { transaction })
      throw new Error('no')
    })
    await expect(rolled_back).rejects.toThrow('no')
    const { job_id } = await db.transaction((transaction) => workflow.addJob({ n: 2 }, { transaction }))
    expect(await runOf(workflow, { n: 3 })).toMatchObject({ state: 'complete' })
    expect(await workflow.waitForResult(job_id)).toMatchObject({ payload: { n: 2 }, state: 'complete' })
  })

  test('nothing is done with the database before the first job is added', async () => {
    const queries: string[] = []
    const spy = { ...db, query: (query: { q: string }) => (queries.push(query.q), db.query(query)), exec: (sql: string) => db.exec(sql) } as unknown as typeof db
    const workflow = new MultiStepPgQueue<{ n: number }>(spy, queueName(), 'w', [{ id: 'a', handler: () => 1 }])
    expect(queries).toEqual([])
    await Promise.all([workflow.addJob({ n: 1 }), workflow.addJob({ n: 2 })])
    await workflow.addJob({ n: 3 })
    expect(queries.filter((q) => q.includes('define_workflow')).length).toBe(1)
    expect(queries.length).toBe(4)
  })

  test('any producer may start a run by the name of its workflow', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: ({ n }) => n + 1 }])
    await errorOf(workflow.getRawQueue().addJob({ n: 1 }, { workflow: 'w' }), 'workflow_not_found')
    await workflow.define()
    const { rows } = await db.query<{ job_id: string }>({
      q: `SELECT job_id::text FROM pgq.add_job($1::text, '{"n": 4}', workflow => 'w')`, args: [workflow.queue_name],
    })
    work(workflow)
    expect((await workflow.waitForResult(Number(rows[0]!.job_id))).output).toBe(5)
  })

  test('steps that are none are refused where they are written', () => {
    const make = (list: unknown): unknown => new MultiStepPgQueue(db, 'q', 'w', list as Step[])
    expect(() => make([])).toThrow('Expected `steps` to be an array of steps, got an array')
    expect(() => make([{ id: '', handler() {} }])).toThrow('Expected `id` to be a text that is not empty')
    expect(() => make([{ id: 'a' }])).toThrow("Expected `handler` to be a function at step 'a', got undefined")
    expect(() => make([{ id: 'a', handler() {} }, { id: 'a', handler() {} }])).toThrow('steps of different ids')
    expect(() => new MultiStepPgQueue(db, 'q', '', [{ id: 'a', handler() {} }])).toThrow('Expected `workflow_id`')
  })

  test('settings of steps reach the database, those of the step before the defaults', async () => {
    const workflow = await newWorkflow(db, [
      { id: 'a', custom_timeout_milliseconds: 5000, handler: (_payload, _job_id, { job, max_attempts }) => [job.timeout_milliseconds, max_attempts] },
      { id: 'b', max_attempts: 4, handler: (_payload, _job_id, { job, max_attempts, outputs }) => [outputs['a'], job.timeout_milliseconds, max_attempts] },
    ], { step_defaults: { max_attempts: 3, custom_timeout_milliseconds: 7000 } })
    expect((await runOf(workflow, { n: 1 })).output).toEqual([[5000, 3], 7000, 4])
    const wrong = await newWorkflow(db, [{ id: 'a', max_attempts: 0, handler() {} }])
    await errorOf(wrong.addJob({ n: 1 }), 'invalid_argument')
  })
})

describe('a worker', () => {
  test('runs workflows beside each other and beside plain jobs of the same queue', async () => {
    const one = await newWorkflow(db, [{ id: 'a', handler: () => 'one' }])
    const two = new MultiStepPgQueue<{ n: number }>(db, one.queue_name, 'two', [{ id: 'a', handler: () => 'two' }])
    const queue = one.getRawQueue()
    const added = [await one.addJob({ n: 1 }), await two.addJob({ n: 1 }), await queue.addJob({ n: 3 })]
    stopAfterwards(startWorker([one, two, queue], ({ n }) => `plain ${n}`))
    const outputs = await Promise.all(added.map(async ({ job_id }) => (await queue.waitForResult(job_id)).output))
    expect(outputs).toEqual(['one', 'two', 'plain 3'])
  })

  test('leaves what it has no handler for to others, without using an attempt, and tells', async () => {
    const mine = await newWorkflow(db, [{ id: 'a', handler: () => 1 }])
    const other = new MultiStepPgQueue<{ n: number }>(db, mine.queue_name, 'other', [{ id: 'a', handler: () => 2 }])
    const { job_id } = await other.addJob({ n: 1 })
    const plain = await mine.getRawQueue().addJob({ n: 1 })
    const errors: PgqError[] = []
    await using worker = startWorker(mine, { on_error: (error) => errors.push(error as PgqError) })
    await until(() => errors.length >= 2 && worker.stats().paused >= 2)
    expect(errors.map(({ code }) => code).sort()).toEqual(['workflow_not_found', 'wrong_state'])
    for (const id of [job_id, plain.job_id]) {
      expect(await mine.getRawQueue().getJob(id)).toMatchObject({ state: 'scheduled', attempt: 0 })
    }
  })

  test('of plain jobs does not touch runs', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: () => 1 }])
    const { job_id } = await workflow.addJob({ n: 1 })
    let runs = 0
    await using worker = startWorker(workflow.getRawQueue(), () => void runs++)
    await until(() => worker.stats().paused === 1)
    expect(runs).toBe(0)
    expect(await workflow.getRawQueue().getJob(job_id)).toMatchObject({ state: 'scheduled', step: 'a' })
  })

  test('does a thousand runs of three steps, each step once, with outputs unmixed', { timeout: 60_000 }, async () => {
    const seen = new Map<string, number>()
    const step = (id: string): Step<{ n: number }> => ({
      id,
      handler: ({ n }, _job_id, { outputs }) => {
        seen.set(`${id} ${n}`, (seen.get(`${id} ${n}`) ?? 0) + 1)
        return Object.values(outputs).reduce<number>((sum, output) => sum + (output as number), n)
      },
    })
    const workflow = await newWorkflow(db, [step('a'), step('b'), step('c')])
    const ids = await workflow.addJobs(Array.from({ length: 1000 }, (_, n) => ({ n })))
    const workers = [work(workflow, { concurrency: 50 }), work(workflow, { concurrency: 50 })]
    const outputs = await Promise.all(ids.map(async (id) => (await workflow.waitForResult(id)).output))
    expect(outputs).toEqual(ids.map((_, n) => 4 * n))
    expect(seen.size).toBe(3000)
    expect([...seen.values()].every((times) => times === 1)).toBe(true)
    await Promise.all(workers.map((worker) => worker.stop()))
    expect(workers.reduce((sum, worker) => sum + worker.stats().complete, 0)).toBe(3000)
  })

  test('goes on after it has lost its connection in the midst of many runs', { timeout: 60_000 }, async () => {
    const own = openDb({ application_name: 'workflow to be killed' })
    const workflow = await newWorkflow(own, [{ id: 'a', handler: ({ n }) => n }, { id: 'b', handler: (_payload, _job_id, { outputs }) => outputs['a'] }])
    const ids = await workflow.addJobs(Array.from({ length: 500 }, (_, n) => ({ n })))
    const worker = work(workflow, { concurrency: 5 })
    for (let kills = 0; kills < 3; kills++) {
      const before = worker.stats().complete
      await until(() => worker.stats().complete > before + 50 || worker.stats().complete >= 1000)
      await db.query({ q: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'workflow to be killed'` })
    }
    const queue = workflow.getRawQueue()
    const outputs = await Promise.all(ids.map(async (id) => (await queue.waitForResult(id)).output))
    expect(outputs).toEqual(ids.map((_, n) => n))
  })
})
