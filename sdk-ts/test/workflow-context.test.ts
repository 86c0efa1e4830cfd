import { describe, expect, test } from 'vitest'
import { failJob, PgqError, sleepFor, startWorker, waitForSignal, type StepContext } from '../src/index.ts'
import { errorOf, latch, openDb, queueName, until } from './support.ts'
import { newWorkflow, runOf, work } from './workflow-support.ts'

const db = openDb()

describe('once', () => {
  test('a value is remembered for the next attempts of the step', async () => {
    let calls = 0
    const given: unknown[] = []
    const workflow = await newWorkflow(db, [
      {
        id: 'a',
        handler: async (_payload, _job_id, { once, attempt }) => {
          given.push(await once('charge', async () => ({ charge: ++calls, at: new Date(0) })))
          if (attempt < 3) throw new Error('later')
          return 'done'
        },
      },
    ])
    expect(await runOf(workflow, { n: 1 })).toMatchObject({ state: 'complete', attempt: 3 })
    expect(calls).toBe(1)
    expect(given).toEqual(Array(3).fill({ charge: 1, at: '1970-01-01T00:00:00.000Z' }))
  })

  test('several names are apart, calls at the same time share one, and what fails is tried again', async () => {
    let tries = 0
    const workflow = await newWorkflow(db, [{
      id: 'a',
      handler: async (_payload, _job_id, context) => {
        const twice = [context.once('x', () => ++tries), context.once('x', () => ++tries)]
        expect(await Promise.all(twice)).toEqual([1, 1])
        await expect(context.once('y', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
        return [await context.once('y', () => 'now'), await context.once('z', () => undefined)]
      },
    }])
    expect((await runOf(workflow, { n: 1 })).output).toEqual(['now', null])
  })

  test('the next step remembers nothing', async () => {
    const workflow = await newWorkflow(db, ['a', 'b'].map((id) => ({
      id, handler: (_payload: unknown, _job_id: number, { once }: StepContext) => once('x', () => id),
    })))
    expect((await runOf(workflow, { n: 1 })).output).toBe('b')
  })
})

describe('finish', () => {
  test('the step, its output and your own writes are one transaction', async () => {
    const table = `written_${process.pid}`
    await db.exec(`CREATE TABLE ${table} (job_id bigint, step text)`)
    const workflow = await newWorkflow(db, ['a', 'b'].map((id) => ({
      id,
      handler: async (_payload: unknown, job_id: number, context: StepContext) => {
        await db.transaction(async (transaction) => {
          await transaction.query({ q: `INSERT INTO ${table} (job_id, step) VALUES ($1::text::bigint, $2)`, args: [`${job_id}`, id] })
          expect(await context.finish({ wrote: id }, { transaction })).toBe(id === 'a' ? 'ready' : 'complete')
          if (context.attempt === 1) throw new Error('rolled back')
        })
        return 'not looked at'
      },
    })))
    const run = await runOf(workflow, { n: 1 })
    expect(run).toMatchObject({ state: 'complete', output: { wrote: 'b' } })
    const { rows } = await db.query({ q: `SELECT step FROM ${table} ORDER BY step` })
    expect(rows).toEqual([{ step: 'a' }, { step: 'b' }])
    await db.exec(`DROP TABLE ${table}`)
  })

  test('it takes whatever a handler may return', async () => {
    const states: string[] = []
    let pauses = 0
    const workflow = await newWorkflow(db, [
      { id: 'b', handler: async (_payload, _job_id, { finish }) => void states.push(await finish(pauses++ === 0 ? 'paused' : sleepFor(1, 'slept'))) },
      { id: 'c', handler: async (_payload, _job_id, context) => void states.push(await context.finish(context.attempt === 1 ? failJob('no') : undefined)) },
    ])
    expect(await runOf(workflow, { n: 1 })).toMatchObject({ state: 'complete' })
    expect(states).toEqual(['ready', 'scheduled', 'scheduled', 'complete'])
  })

  test('a worker that is too late cannot finish, and its transaction rolls back', async () => {
    const late = latch()
    const begun = latch<StepContext>()
    const workflow = await newWorkflow(db, [{
      id: 'a',
      handler: async (_payload, _job_id, context) => {
        begun.open(context)
        await late.promise
        return context.finish('late')
      },
    }])
    const { job_id } = await workflow.addJob({ n: 1 })
    await using worker = startWorker(workflow)
    const context = await begun.promise
    await workflow.getRawQueue().cancelJob(job_id)
    await errorOf(context.finish('x'), 'lease_lost')
    late.open()
    await until(() => worker.stats().lost === 1)
    expect(await workflow.getRawQueue().getJob(job_id)).toMatchObject({ state: 'cancelled' })
  })
})

test('a step learns what it is, and its signal aborts when the work is in vain', async () => {
  const begun = latch<StepContext>()
  const workflow = await newWorkflow(db, [{ id: 'a', custom_timeout_milliseconds: 300, handler: (_payload, _job_id, context) => {
    begun.open(context)
    return new Promise((_resolve, reject) => context.signal.addEventListener('abort', () => reject(context.signal.reason)))
  } }])
  const { job_id } = await workflow.addJob({ n: 1 }, { headers: { trace: 't' } })
  const worker = work(workflow)
  const context = await begun.promise
  expect(context).toMatchObject({
    job_id, queue_name: workflow.queue_name, workflow: 'w', workflow_version: 1, step: 'a', outputs: {}, children: [], received_signal: undefined, failure: undefined,
    attempt: 1, max_attempts: 10, headers: { trace: 't' }, transaction: undefined,
  })
  expect(context.job.job_id).toBe(job_id)
  await workflow.getRawQueue().cancelJob(job_id)
  await until(() => context.signal.aborted)
  expect(context.signal.reason).toBeInstanceOf(PgqError)
  expect((context.signal.reason as PgqError).code).toBe('job_cancelled')
  await worker.stop()
})

describe('compensation', () => {
  test('the steps that are done are undone backwards, and the run is dead with the first error', async () => {
    const seen: unknown[] = []
    const undo = (_payload: unknown, _job_id: number, { step, failure, outputs }: StepContext): void => void seen.push([step, failure?.split('\n')[0], outputs[step]])
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: () => 1, compensate: undo },
      { id: 'b', handler: () => 2 },
      { id: 'c', handler: () => 3, compensate: undo },
      { id: 'd', handler: () => failJob('it broke', { retry: false }), compensate: undo },
    ])
    const run = await runOf(workflow, { n: 1 })
    expect(run).toMatchObject({ state: 'dead', error: expect.stringContaining('it broke') })
    expect(seen).toEqual([['c', 'it broke', 3], ['a', 'it broke', 1]])
  })

  test('a compensation is tried again, and when it fails for good the error tells both', async () => {
    let tries = 0
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: () => 1, max_attempts: 2, compensate: () => { tries++; throw new Error('not undone') } },
      { id: 'b', handler: () => failJob('it broke', { retry: false }) },
    ])
    const run = await runOf(workflow, { n: 1 })
    expect(tries).toBe(2)
    expect(run).toMatchObject({ state: 'dead', error: expect.stringMatching(/it broke[^]*not undone|not undone[^]*it broke/) })
  })

  test('a compensation cannot ask for what comes next', async () => {
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: () => 1, max_attempts: 1, compensate: () => waitForSignal('x') },
      { id: 'b', handler: () => failJob('it broke', { retry: false }) },
    ])
    expect(await runOf(workflow, { n: 1 })).toMatchObject({ state: 'dead', error: expect.stringContaining('what only a step can ask for') })
  })
})

test('the name of a queue that nobody has used is no hindrance', async () => {
  const { MultiStepPgQueue } = await import('../src/index.ts')
  const workflow = new MultiStepPgQueue<null>(db, queueName(), 'w', [{ id: 'a', handler: () => 1 }])
  expect((await runOf(workflow, null)).output).toBe(1)
})
