/** A run that waits costs no polling: whatever it waits for wakes an idle worker of its queue. */
import { expect, test } from 'vitest'
import { MultiStepPgQueue, sleepFor, startChildren, startWorker, waitForSignal } from '../src/index.ts'
import { newQueue, openDb, queueName, stopAfterwards, until } from './support.ts'

const db = openDb()
/** Much longer than a test may take. */
const NEVER_POLL = { poll_interval_milliseconds: 600_000 }

async function started(first: () => unknown): Promise<{ workflow: MultiStepPgQueue; job_id: number }> {
  const workflow = new MultiStepPgQueue(db, queueName(), 'wait', [{ id: 'first', handler: first }, { id: 'second', handler: () => 'woken' }])
  const worker = stopAfterwards(startWorker(workflow, NEVER_POLL))
  const { job_id } = await workflow.addJob({})
  await until(() => worker.stats().complete === 1)
  return { workflow, job_id }
}

async function expectWoken({ workflow, job_id }: Awaited<ReturnType<typeof started>>): Promise<void> {
  expect(await workflow.waitForResult(job_id, { timeout_milliseconds: 15_000 })).toMatchObject({ state: 'complete', output: 'woken' })
}

test('the last child wakes the worker of the run, though others have done the children', async () => {
  const parts = await newQueue(db)
  const run = await started(() => startChildren([1, 2, 3].map((n) => ({ queue_name: parts.queue_name, payload: { n } }))))
  stopAfterwards(startWorker(parts, () => {}, NEVER_POLL))
  await expectWoken(run)
})

test('a signal does', async () => {
  const run = await started(() => waitForSignal('go'))
  await run.workflow.signalJob(run.job_id, 'go')
  await expectWoken(run)
})

test('so does the end of the time for a signal', async () => {
  await expectWoken(await started(() => waitForSignal('go', { timeout_milliseconds: 300 })))
})

test('so does the end of a sleep', async () => {
  await expectWoken(await started(() => sleepFor(300)))
})
