/** Two versions of a workflow at once: runs stay on the version on which they began, whoever works beside them. */
import { afterEach, expect, test } from 'vitest'
import { MultiStepPgQueue, startWorker, waitForSignal, type Step, type Worker } from '../src/index.ts'
import { openDb, queueName, stopAfterwards, until } from './support.ts'

const db = openDb()
const workers: Worker[] = []
afterEach(() => Promise.all(workers.splice(0).map((worker) => worker.stop())))

function start(workflow: MultiStepPgQueue<unknown>): Worker {
  const worker = stopAfterwards(startWorker(workflow, { poll_interval_milliseconds: 50 }))
  workers.push(worker)
  return worker
}

/** Steps that tell who has done them; the first waits for a signal, so that runs stand in the middle. */
function stepsOf(deployment: string, ids: readonly string[]): Step[] {
  return ids.map((id, place) => ({
    id,
    handler: (_payload, _job_id, { outputs }) => {
      const output = { id, by: deployment, after: Object.keys(outputs).length }
      return place === 0 ? waitForSignal('go', { output }) : place === ids.length - 1 ? { ...outputs, [id]: output } : output
    },
  }))
}

const OLD_IDS = ['ask', 'pay', 'thank']
const NEW_IDS = ['ask', 'check', 'pay', 'send', 'thank']

function startRuns(workflow: MultiStepPgQueue<unknown>, count: number): Promise<number[]> {
  return workflow.addJobs(Array.from({ length: count }, (_, n) => ({ n })))
}

/** Until all wait for their signal. */
async function allWait(workflow: MultiStepPgQueue<unknown>, job_ids: readonly number[]): Promise<void> {
  for (const job_id of job_ids) await until(async () => (await workflow.getRawQueue().getJob(job_id))?.held_by === 'signal', 30_000)
}

/** Signals all, and gives who has done which steps of each, in order. */
async function finishAll(workflow: MultiStepPgQueue<unknown>, job_ids: readonly number[]): Promise<Record<string, string>[]> {
  await Promise.all(job_ids.map((job_id) => workflow.signalJob(job_id, 'go')))
  return Promise.all(job_ids.map(async (job_id) => {
    const { state, output } = await workflow.waitForResult(job_id)
    expect(state).toBe('complete')
    const outputs = Object.values(output as Record<string, { id: string; by: string; after: number }>).sort((a, b) => a.after - b.after)
    expect(outputs.map(({ after }) => after)).toEqual(outputs.map((_, place) => place))
    return Object.fromEntries(outputs.map(({ id, by }) => [id, by]))
  }))
}

test('a run that began on version 1 finishes on the handlers of version 1, while runs of version 2 go on beside it', { timeout: 60_000 }, async () => {
  const queue_name = queueName()
  const old_code = new MultiStepPgQueue(db, queue_name, 'order', stepsOf('old code', OLD_IDS))
  const old_worker = start(old_code)
  const old_runs = await startRuns(old_code, 20)
  await allWait(old_code, old_runs)
  await old_worker.stop()

  const new_code = new MultiStepPgQueue(db, queue_name, 'order', stepsOf('new code', NEW_IDS), undefined, undefined, {
    version: 2, previous_versions: { 1: stepsOf('kept code', OLD_IDS) },
  })
  start(new_code)
  const new_runs = await startRuns(new_code, 20)
  await allWait(new_code, new_runs)
  const [of_old, of_new] = await Promise.all([finishAll(new_code, old_runs), finishAll(new_code, new_runs)])
  for (const steps of of_old) expect(steps).toEqual({ ask: 'old code', pay: 'kept code', thank: 'kept code' })
  for (const steps of of_new) expect(steps).toEqual(Object.fromEntries(NEW_IDS.map((id) => [id, 'new code'])))
})

test('a worker that knows only version 1 leaves runs of version 2 to others, and they lose no attempt', { timeout: 60_000 }, async () => {
  const queue_name = queueName()
  const old_code = new MultiStepPgQueue(db, queue_name, 'order', stepsOf('old code', OLD_IDS))
  const new_code = new MultiStepPgQueue(db, queue_name, 'order', stepsOf('new code', NEW_IDS), undefined, undefined, {
    version: 2, previous_versions: { 1: stepsOf('kept code', OLD_IDS) },
  })
  const old_worker = start(old_code)
  const [old_runs, new_runs] = await Promise.all([startRuns(old_code, 20), startRuns(new_code, 5)])
  await until(() => old_worker.stats().paused >= new_runs.length)
  await allWait(old_code, old_runs)
  for (const job_id of new_runs) expect(await new_code.getRawQueue().getJob(job_id)).toMatchObject({ step: 'ask', attempt: 0, workflow_version: 2 })

  start(new_code)
  await old_worker.stop()
  await allWait(new_code, new_runs)
  const [of_old, of_new] = await Promise.all([finishAll(new_code, old_runs), finishAll(new_code, new_runs)])
  for (const steps of of_old) expect(steps).toEqual({ ask: 'old code', pay: 'kept code', thank: 'kept code' })
  for (const steps of of_new) expect(steps).toEqual(Object.fromEntries(NEW_IDS.map((id) => [id, 'new code'])))
})
