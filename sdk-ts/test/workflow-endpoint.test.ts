import { describe, expect, test } from 'vitest'
import {
  completeJobAndAdd, createJobHandler, failJob, goToStep, MultiStepPgQueue, PgQueue, sleepFor, startChildren, startWorker, waitForSignal,
  type AnyWorkflow, type EndpointDetails, type JobHandlerOptions, type Step,
} from '../src/index.ts'
import { dispatch, serve } from './http-support.ts'
import { newQueue, openDb, stopAfterwards, until } from './support.ts'
import { newWorkflow } from './workflow-support.ts'

const db = openDb()
const options: JobHandlerOptions = { is_insecure_allowed: true }

/** Sends the runs of a workflow to an endpoint that answers for it, or for what is given. */
async function dispatched(workflow: AnyWorkflow, details: Partial<EndpointDetails> = {}, handler = createJobHandler(workflow, options)): Promise<void> {
  const endpoint_url = await serve(handler)
  await workflow.getRawQueue().getConfig().setEndpoint(true, { endpoint_url, endpoint_is_insecure_allowed: true, ...details })
  dispatch(db, [workflow])
}

/** Steps that use most of what a step can. */
function manySteps(seen: string[]): Step<{ n: number }>[] {
  return [
    { id: 'a', handler: ({ n }, _job_id, { attempt }) => (seen.push(`a${attempt}`), attempt === 1 ? 'failed' : { n: n + 1 }) },
    {
      id: 'once',
      handler: async (_payload, _job_id, { once, attempt, outputs }) => {
        const charged = await once('charge', () => seen.push('charged'))
        if (attempt === 1) throw new Error('later')
        return [outputs['a'], typeof charged]
      },
    },
    { id: 'sleep', handler: () => sleepFor(5) },
    { id: 'children', handler: ({ n }) => startChildren(n > 0 ? [1, 2].map((k) => ({ payload: { n: -k }, workflow: 'w' })) : []) },
    { id: 'skip', handler: ({ n }, _job_id, { children }) => (n > 0 ? goToStep('ask', { output: children.map(({ output }) => output) }) : goToStep('last')) },
    { id: 'never', handler: () => seen.push('never') },
    { id: 'ask', handler: () => waitForSignal('ok', { output: 'asked' }) },
    { id: 'last', handler: (_payload, _job_id, { outputs, received_signal }) => ({ outputs, received_signal: received_signal ?? null }) },
  ]
}

describe.each([['answers', false], ['manual release', true]] as const)('dispatched with %s', (_title, endpoint_manual_release) => {
  test('a run goes through all its steps, with all that steps can do', { timeout: 60_000 }, async () => {
    const seen: string[] = []
    const workflow = await newWorkflow(db, manySteps(seen))
    await dispatched(workflow, { endpoint_manual_release })
    const { job_id } = await workflow.addJob({ n: 1 })
    await until(async () => (await workflow.getRawQueue().getJob(job_id)).held_by === 'signal', 30_000)
    await workflow.signalJob(job_id, 'ok', 7)
    const run = await workflow.waitForResult(job_id)
    expect(run).toMatchObject({ state: 'complete' })
    const of_child = { outputs: { a: { n: expect.any(Number) }, once: [{ n: expect.any(Number) }, 'number'] }, received_signal: null }
    expect(run.output).toEqual({
      outputs: { a: { n: 2 }, once: [{ n: 2 }, 'number'], skip: [of_child, of_child], ask: 'asked' }, received_signal: { name: 'ok', payload: 7 },
    })
    expect(seen.filter((what) => what === 'charged').length).toBe(3)
    expect(seen).not.toContain('never')
  })

  test('a run that dies is compensated, and jobs can be added with a step', { timeout: 60_000 }, async () => {
    const seen: string[] = []
    const other = await newQueue(db)
    const workflow = await newWorkflow(db, [
      { id: 'a', handler: () => completeJobAndAdd('added', [{ queue_name: other.queue_name, payload: { n: 5 } }]), compensate: (_payload, _job_id, { failure }) => void seen.push(failure!) },
      { id: 'b', handler: () => failJob('it broke', { retry: false }) },
    ])
    await dispatched(workflow, { endpoint_manual_release })
    const { job_id } = await workflow.addJob({ n: 1 })
    expect(await workflow.waitForResult(job_id)).toMatchObject({ state: 'dead', error: expect.stringContaining('it broke') })
    expect(seen).toEqual([expect.stringContaining('it broke')])
    expect((await other.pickNextJob())?.job.payload).toEqual({ n: 5 })
  })

  test('a run may be finished by the handler itself', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: async (_payload, _job_id, { finish }) => void (await finish('done')) }, { id: 'b', handler: (_payload, _job_id, { outputs }) => outputs['a'] }])
    await dispatched(workflow, { endpoint_manual_release })
    const { job_id } = await workflow.addJob({ n: 1 })
    expect((await workflow.waitForResult(job_id)).output).toBe('done')
  })

  test('an endpoint gives back what it has no handler for', async () => {
    const mine = await newWorkflow(db, [{ id: 'a', handler: () => 1 }])
    const other = new MultiStepPgQueue<{ n: number }>(db, mine.queue_name, 'other', [{ id: 'a', handler: () => 2 }])
    const { job_id } = await other.addJob({ n: 1 })
    const errors: unknown[] = []
    await dispatched(mine, { endpoint_manual_release }, createJobHandler(mine, { ...options, on_error: (error) => errors.push(error) }))
    await until(() => errors.length > 0)
    await until(async () => (await other.getRawQueue().getJob(job_id)).state === 'scheduled')
    expect(await other.getRawQueue().getJob(job_id)).toMatchObject({ attempt: 0, workflow: 'other' })
    expect(errors).toMatchObject([{ code: 'workflow_not_found' }])
  })
})

test('an endpoint handles a queue and workflows, each by its own', async () => {
  const workflow = await newWorkflow(db, [{ id: 'a', handler: () => 'run' }])
  const queue = workflow.getRawQueue()
  await dispatched(workflow, {}, createJobHandler([workflow, queue], ({ n }) => `plain ${n}`, options))
  const added = [await workflow.addJob({ n: 1 }), await queue.addJob({ n: 2 })]
  expect(await Promise.all(added.map(async ({ job_id }) => (await queue.waitForResult(job_id)).output))).toEqual(['run', 'plain 2'])
})

describe('processNextJob', () => {
  test('does one step at a time', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: () => sleepFor(0, 'x') }, { id: 'b', handler: (_payload, _job_id, { outputs }) => outputs['a'] }])
    expect(await workflow.processNextJob()).toEqual({ status: 'ok', had_job: false })
    const { job_id } = await workflow.addJob({ n: 1 })
    expect(await workflow.processNextJob()).toEqual({ status: 'ok', had_job: true })
    expect(await workflow.getRawQueue().getJob(job_id)).toMatchObject({ step: 'b' })
    expect(await workflow.processNextJob(true)).toEqual({ status: 'ok', had_job: true })
    expect(await workflow.processNextJob()).toEqual({ status: 'ok', had_job: false })
    expect((await workflow.waitForResult(job_id)).output).toBe('x')
  })

  test('tells what went wrong, and the step is tried again', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: (_payload, _job_id, { attempt }) => { if (attempt === 1) throw new Error('not today') } }])
    const { job_id } = await workflow.addJob({ n: 1 })
    expect(await workflow.processNextJob()).toEqual({ status: 'error', error: { type: 'unknown-error-handling-multistep', message: 'not today' } })
    await until(async () => (await workflow.processNextJob()).status === 'ok' && (await workflow.getRawQueue().getJob(job_id)).state === 'complete')
  })

  test('leaves jobs that are none of its runs', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: () => 1 }])
    const { job_id } = await workflow.getRawQueue().addJob({ n: 1 })
    expect(await workflow.processNextJob()).toMatchObject({ status: 'error', error: { type: 'incompatible-job', sub_type: 'job-not-owned' } })
    expect(await workflow.getRawQueue().getJob(job_id)).toMatchObject({ state: 'scheduled', attempt: 0 })
  })

  test('in a transaction happens with it or not at all', async () => {
    const table = `processed_${process.pid}`
    await db.exec(`CREATE TABLE ${table} (job_id bigint)`)
    const workflow = await newWorkflow(db, [
      {
        id: 'a',
        handler: async (_payload, job_id, { transaction, once }) => {
          await transaction!.query({ q: `INSERT INTO ${table} (job_id) VALUES ($1::text::bigint)`, args: [`${job_id}`] })
          return once('x', () => 5)
        },
      },
      { id: 'b', handler: () => goToStep('c') },
      { id: 'c', handler: () => failJob('no', { retry: false }) },
    ])
    const { job_id } = await workflow.addJob({ n: 1 })
    const rolled_back = db.transaction(async (transaction) => {
      expect(await workflow.processNextJob(false, transaction)).toEqual({ status: 'ok', had_job: true })
      throw new Error('no')
    })
    await expect(rolled_back).rejects.toThrow('no')
    const queue = workflow.getRawQueue()
    expect(await queue.getJob(job_id)).toMatchObject({ step: 'a', state: 'ready' })
    for (const step of ['b', 'c']) {
      await db.transaction((transaction) => workflow.processNextJob(false, transaction))
      expect(await queue.getJob(job_id)).toMatchObject({ step, state: 'ready' })
    }
    await db.transaction((transaction) => workflow.processNextJob(false, transaction))
    expect(await queue.getJob(job_id)).toMatchObject({ step: 'c', state: 'dead' })
    expect((await db.query({ q: `SELECT FROM ${table}` })).rows.length).toBe(1)
    await db.exec(`DROP TABLE ${table}`)
  })
})

describe('processJob', () => {
  test('runs the step of a request and releases it, for the workflow that owns it', async () => {
    const one = await newWorkflow(db, [{ id: 'a', handler: () => 'one' }, { id: 'b', handler: (_payload, _job_id, { outputs }) => outputs['a'] }])
    const two = new MultiStepPgQueue<{ n: number }>(db, one.queue_name, 'two', [{ id: 'a', handler: () => 'two' }])
    const answers: unknown[] = []
    await dispatched(one, { endpoint_manual_release: true }, async (request) => {
      const body: unknown = await request.json()
      for (const workflow of [one, two]) if (workflow.ownsJob(body)) answers.push(await workflow.processJob(body))
      return new Response(null, { status: 202 })
    })
    const added = [await one.addJob({ n: 1 }), await two.addJob({ n: 1 })]
    expect(await Promise.all(added.map(async ({ job_id }) => (await one.waitForResult(job_id)).output))).toEqual(['one', 'two'])
    expect(answers).toEqual(Array(3).fill({ status: 'ok', had_job: true }))
  })

  test('tells what is no run of its own', async () => {
    const workflow = await newWorkflow(db, [{ id: 'a', handler: () => 1 }])
    const job = { job_id: 1, lease_token: 2, attempt: 1, max_attempts: 2, timeout_milliseconds: 1000, queue_name: workflow.queue_name, payload: {} }
    const refusal = (sub_type: string) => ({ status: 'error', error: { type: 'incompatible-job', sub_type } })
    expect(await workflow.processJob('x')).toEqual(refusal('bad-job-format'))
    expect(await workflow.processJob({ ...job, step: 5 })).toEqual(refusal('bad-job-format'))
    expect(await workflow.processJob(job)).toEqual(refusal('job-not-owned'))
    expect(await workflow.processJob({ ...job, step: { workflow: 'other', version: 1, id: 'a' } })).toEqual(refusal('job-not-owned'))
    expect(workflow.ownsJob(job)).toBe(false)
    expect(workflow.ownsJob({ ...job, step: { workflow: 'w', version: 1, id: 'a' } })).toBe(true)
    // Owned, but its lease is lost: nothing is run.
    expect(await workflow.processJob({ ...job, step: { workflow: 'w', version: 1, id: 'a' } })).toMatchObject({ status: 'error', error: { type: 'unknown-error-handling-multistep' } })
  })
})

test('a worker of the same workflow and a dispatcher share its runs', { timeout: 60_000 }, async () => {
  const by = new Set<string>()
  const workflow = await newWorkflow<{ n: number }>(db, [{ id: 'a', handler: ({ n }) => n }, { id: 'b', handler: ({ n }, _job_id, { outputs }) => n + (outputs['a'] as number) }])
  await dispatched(workflow, {}, createJobHandler(workflow, { ...options, logger: {} }))
  stopAfterwards(startWorker(new PgQueue(db, `${workflow.queue_name} other`), () => by.add('never')))
  stopAfterwards(startWorker(workflow, { concurrency: 2 }))
  const ids = await workflow.addJobs(Array.from({ length: 200 }, (_, n) => ({ n })))
  expect(await Promise.all(ids.map(async (id) => (await workflow.waitForResult(id)).output))).toEqual(ids.map((_, n) => 2 * n))
})
