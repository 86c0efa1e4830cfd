import { describe, expect, test } from 'vitest'
import {
  completeRun, failJob, goToStep, MultiStepPgQueue, PgQueue, sleepFor, sleepUntil, startChildren, startWorker, waitForSignal, type ChildResult, type PgqError,
  type Step,
} from '../src/index.ts'
import { newQueue, openDb, stopAfterwards, until } from './support.ts'
import { newWorkflow, runOf, work } from './workflow-support.ts'

const db = openDb()
/** A last step that tells what it was given. */
const tell: Step<{ n: number }> = {
  id: 'tell',
  handler: (_payload, _job_id, { outputs, children, received_signal }) => ({ outputs, children, received_signal: received_signal ?? null }),
}

describe('sleeping', () => {
  test('the next step comes after the time, and no worker is kept busy meanwhile', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: () => sleepFor(60_000, 'before') }, tell])
    const { job_id } = await workflow.addJob({ n: 1 })
    await using worker = startWorker(workflow)
    const queue = workflow.getRawQueue()
    const sleeping = await until(async () => ((await queue.getJob(job_id)).step === 'tell' ? queue.getJob(job_id) : undefined))
    expect(sleeping.state).toBe('scheduled')
    expect(sleeping.start_after!.getTime() - Date.now()).toBeGreaterThan(50_000)
    expect(worker.stats().running).toBe(0)
    await queue.rescheduleJob(job_id, new Date())
    expect((await workflow.waitForResult(job_id)).output).toMatchObject({ outputs: { a: 'before' } })
  })

  test('it may be told until when', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: () => sleepUntil(new Date(Date.now() + 100)) }, tell])
    const began = Date.now()
    expect((await runOf(workflow, { n: 1 })).state).toBe('complete')
    expect(Date.now() - began).toBeGreaterThanOrEqual(99)
  })

  test('times that are none are refused where they are written', () => {
    expect(() => sleepFor(-1)).toThrow('Expected `milliseconds` to be a whole number from 0')
    expect(() => sleepUntil(new Date(Number.NaN))).toThrow('Expected `moment` to be a valid Date')
    expect(() => goToStep('')).toThrow('Expected `id`')
    expect(() => waitForSignal('x', { timeout_milliseconds: 0 })).toThrow('Expected `timeout_milliseconds`')
    expect(() => startChildren('x' as never)).toThrow('Expected `children` to be an array')
  })
})

describe('other steps', () => {
  test('a step may send the run to any other, and end it early', async () => {
    const seen: string[] = []
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: ({ n }) => (seen.push('a'), goToStep('c', { output: n })) },
      { id: 'b', handler: () => (seen.push('b'), completeRun('early')) },
      { id: 'c', handler: (_payload, _job_id, { outputs }) => (seen.push(`c ${outputs['a']}`), goToStep('b')) },
    ])
    expect(await runOf(workflow, { n: 7 })).toMatchObject({ state: 'complete', output: 'early' })
    expect(seen).toEqual(['a', 'c 7', 'b'])
  })

  test('what a step asks for in vain fails its attempt and says why, and spoils no other run', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', max_attempts: 1, handler: ({ n }) => (n === 1 ? goToStep('nowhere') : goToStep('tell')) }, tell])
    const ids = await workflow.addJobs([{ n: 0 }, { n: 1 }, { n: 2 }])
    work(workflow)
    const runs = await Promise.all(ids.map((id) => workflow.waitForResult(id)))
    expect(runs.map(({ state }) => state)).toEqual(['complete', 'dead', 'complete'])
    expect(runs[1]!.error).toMatch(/could not be stored.*nowhere/)
  })

  test('a plain job cannot ask for what only a step can', async () => {
    const queue = await newQueue(db, { max_attempts: 1 })
    stopAfterwards(startWorker(queue, () => sleepFor(1)))
    const { job_id } = await queue.addJob({ n: 1 })
    expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'dead', error: expect.stringContaining('steps of a MultiStepPgQueue') })
  })
})

describe('children', () => {
  test('the next step gets the results of jobs and of runs in their order', async () => {
    const child = await newWorkflow(db, [{ id: 'a', handler: ({ n }) => n }, { id: 'b', handler: ({ n }) => n * 10 }])
    const plain = await newQueue(db)
    const parent = await newWorkflow(db, [
      { id: 'start', handler: () => startChildren([child.asChild({ n: 1 }), { queue_name: plain.queue_name, payload: { n: 2 } }, child.asChild({ n: 3 })], { output: 'started' }) },
      tell,
    ])
    stopAfterwards(startWorker([parent, child, plain], ({ n }) => n * 100))
    const { job_id } = await parent.addJob({ n: 0 })
    const { output } = await parent.waitForResult(job_id)
    const { outputs, children } = output as { outputs: unknown; children: ChildResult[] }
    expect(outputs).toEqual({ start: 'started' })
    expect(children.map(({ state, output, error }) => ({ state, output, error }))).toEqual([10, 200, 30].map((n) => ({ state: 'complete', output: n, error: null })))
    expect(await plain.getJob(children[1]!.job_id)).toMatchObject({ parent_job_id: job_id })
  })

  test.each([
    ['fail', 1, 'dead'], ['fail', 0, 'complete'], ['ignore', 3, 'complete'], [1, 1, 'complete'], [1, 2, 'dead'],
  ] as const)('with failed_children %s and %i that fail the run is %s', async (failed_children, failing, state) => {
    const child = await newWorkflow(db, [{ id: 'a', handler: ({ n }) => (n < failing ? failJob(`child ${n}`, { retry: false }) : n) }])
    const parent = await newWorkflow(db, [{ id: 'start', handler: () => startChildren([0, 1, 2].map((n) => child.asChild({ n })), { failed_children }) }, tell])
    work([parent, child])
    const { job_id } = await parent.addJob({ n: 0 })
    const run = await parent.waitForResult(job_id)
    expect(run.state, run.error!).toBe(state)
    if (state === 'complete') {
      const { children } = run.output as { children: ChildResult[] }
      expect(children.map((one) => one.state)).toEqual([0, 1, 2].map((n) => (n < failing ? 'dead' : 'complete')))
    }
  })

  test('no children are done at once', async () => {
    const workflow = await newWorkflow(db, [{ id: 'start', handler: () => startChildren([]) }, tell])
    expect((await runOf(workflow, { n: 1 })).output).toMatchObject({ children: [] })
  })

  test('a child of a workflow that nobody has defined fails the attempt, and says so', async () => {
    const errors: PgqError[] = []
    const unknown = new MultiStepPgQueue<{ n: number }>(db, (await newQueue(db)).queue_name, 'unknown', [tell])
    const workflow = await newWorkflow(db, [{ id: 'start', max_attempts: 1, handler: () => startChildren([unknown.asChild({ n: 1 })]) }, tell])
    work(workflow, { on_error: (error) => errors.push(error as PgqError) })
    const { job_id } = await workflow.addJob({ n: 1 })
    expect(await workflow.waitForResult(job_id)).toMatchObject({ state: 'dead', error: expect.stringContaining('workflow "unknown"') })
    expect(errors).toEqual([])
  })

  test('two thousand children are awaited', { timeout: 60_000 }, async () => {
    const queue = new PgQueue<{ n: number }>(db, (await newQueue(db)).queue_name)
    const parent = new MultiStepPgQueue<{ n: number }>(db, queue.queue_name, 'parent', [
      { id: 'start', handler: ({ n: count }) => startChildren(Array.from({ length: count }, (_, n) => ({ payload: { n } }))) },
      { id: 'sum', handler: (_payload, _job_id, { children }) => children.map(({ output }) => output) },
    ])
    stopAfterwards(startWorker([parent, queue], ({ n }) => n, { concurrency: 50 }))
    const { job_id } = await parent.addJob({ n: 2000 })
    expect((await parent.waitForResult(job_id)).output).toEqual(Array.from({ length: 2000 }, (_, n) => n))
  })
})
