import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { failJob, fromPglite, MultiStepPgQueue, sleepFor, startChildren, startWorker, waitForSignal, type Queryable } from '../src/index.ts'
import { pgq } from '../src/pglite.ts'
import { until } from './support.ts'

/** Workflows in the process, on its one connection. */
let pglite: PGlite
let db: Queryable
beforeAll(async () => {
  pglite = await PGlite.create({ extensions: { pgq } })
  await pglite.exec('CREATE EXTENSION pgq')
  db = fromPglite(pglite)
})
afterAll(() => pglite.close())

test('a workflow with all that steps can do runs in PGlite', { timeout: 60_000 }, async () => {
  const undone: string[] = []
  const workflow = new MultiStepPgQueue<{ n: number }>(db, 'q', 'w', [
    { id: 'a', handler: ({ n }) => sleepFor(5, n), compensate: () => void undone.push('a') },
    { id: 'children', handler: ({ n }) => startChildren(n === 1 ? [{ payload: { n: 2 }, workflow: 'w' }] : [], { failed_children: 'ignore' }) },
    { id: 'wait', handler: ({ n }, _job_id, { children }) => (n === 1 ? waitForSignal('ok', { output: children }) : failJob('no', { retry: false })) },
    {
      id: 'last',
      handler: (_payload, _job_id, { outputs, received_signal, finish }) =>
        db.transaction!((transaction) => finish([outputs['a'], outputs['wait'], received_signal], { transaction })),
    },
  ])
  await using _worker = startWorker(workflow)
  const { job_id } = await db.transaction!((transaction) => workflow.addJob({ n: 1 }, { transaction }))
  await until(async () => (await workflow.getRawQueue().getJob(job_id)).held_by === 'signal')
  await workflow.signalJob(job_id, 'ok', 'yes')
  const run = await workflow.waitForResult(job_id)
  expect(run).toMatchObject({ state: 'complete', output: [1, [{ state: 'dead', error: expect.stringContaining('no') }], { name: 'ok', payload: 'yes' }] })
  expect(undone).toEqual(['a'])
})
