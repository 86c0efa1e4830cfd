import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { checkWorkflows, MultiStepPgQueue, startWorker, steps, workflowVersions, z, type PgqError, type Step } from '../src/index.ts'
import { DATABASE_URL, errorOf, openDb, queueName, until } from './support.ts'
import { newWorkflow, work } from './workflow-support.ts'

const db = openDb()
const sdk = resolve(import.meta.dirname, '..')
const folder = mkdtempSync(resolve(sdk, 'test/.check-'))
afterAll(() => rmSync(folder, { recursive: true }))

const step = (id: string, text: string): Step<{ n: number }> => ({ id, handler: (_payload, _job_id, { outputs }) => `${Object.values(outputs).join('')}${text}` })

test('a run that began on version 1 ends on its handlers, beside runs of version 2', async () => {
  const first = [step('a', 'a1'), step('b', 'b1'), step('c', 'c1')]
  const old = await newWorkflow(db, first)
  const { job_id } = await old.addJob({ n: 1 })
  const now = new MultiStepPgQueue<{ n: number }>(db, old.queue_name, 'w', [step('a', 'a2'), step('c', 'c2')], undefined, undefined, {
    version: 2, previous_versions: { 1: first },
  })
  const newer = await now.addJob({ n: 1 })
  work(now)
  expect((await now.waitForResult(job_id)).output).toBe('a1a1b1c1')
  expect((await now.waitForResult(newer.job_id)).output).toBe('a2c2')
})

test('an older version has the schema of its own list of steps', async () => {
  const { queue_name } = await newWorkflow(db, [step('a', '')])
  const first = steps(z.object({ n: z.number() })).step({ id: 'a', handler: ({ n }) => `one ${n}` })
  const { job_id } = await new MultiStepPgQueue(db, queue_name, 'w', first).addJob({ n: 1 })
  const now = new MultiStepPgQueue(db, queue_name, 'w', [{ id: 'b', handler: ({ name }) => `two ${name}` }], z.object({ name: z.string() }), undefined, {
    version: 2, previous_versions: { 1: first },
  })
  const newer = await now.addJob({ name: 'x' })
  work(now)
  expect((await now.waitForResult(job_id)).output).toBe('one 1')
  expect((await now.waitForResult(newer.job_id)).output).toBe('two x')
})

test('the versions are told with their open runs', async () => {
  const one = await newWorkflow(db, [step('a', ''), step('b', '')])
  await one.addJobs([{ n: 1 }, { n: 2 }])
  const two = new MultiStepPgQueue<{ n: number }>(db, one.queue_name, 'w', [step('x', '')], undefined, undefined, { version: 2 })
  await two.define()
  expect(await workflowVersions(db, { queue_name: one.queue_name, workflow: 'w' })).toEqual([
    { queue_name: one.queue_name, workflow: 'w', version: 1, step_ids: ['a', 'b'], open_runs: 2, open_runs_by_step: { a: 2 }, is_newest: false, defined_at: expect.any(Date) },
    { queue_name: one.queue_name, workflow: 'w', version: 2, step_ids: ['x'], open_runs: 0, open_runs_by_step: {}, is_newest: true, defined_at: expect.any(Date) },
  ])
  await errorOf(workflowVersions(db, { queue_name: queueName() }), 'queue_not_found')
})

test('a step at which a run stands cannot be left out of its version: adding tells, a worker tells and does the rest', async () => {
  const one = await newWorkflow(db, [step('a', 'a'), step('b', 'b')])
  const { job_id } = await one.addJob({ n: 1 })
  const less = new MultiStepPgQueue<{ n: number }>(db, one.queue_name, 'w', [step('b', 'b')])
  await errorOf(less.addJob({ n: 1 }), 'wrong_state')
  const errors: PgqError[] = []
  await using worker = startWorker(less, { on_error: (error) => errors.push(error as PgqError) })
  await until(() => worker.stats().paused > 0)
  expect(errors.map(({ code }) => code)).toEqual(['wrong_state', 'workflow_not_found'])
  expect(await one.getRawQueue().getJob(job_id)).toMatchObject({ step: 'a', attempt: 0 })
})

test('two workflows of one id and version are refused', () => {
  const [one, two] = [1, 2].map(() => new MultiStepPgQueue<{ n: number }>(db, 'q', 'w', [step('a', '')])) as [MultiStepPgQueue<{ n: number }>, MultiStepPgQueue<{ n: number }>]
  expect(() => startWorker([one, two])).toThrow('different ids or versions')
  expect(() => new MultiStepPgQueue(db, 'q', 'w', [step('a', '')], undefined, undefined, { previous_versions: { 1: [step('b', '')] } })).toThrow('`previous_versions`')
})

test('checkWorkflows finds what the code has lost', async () => {
  const full = await newWorkflow(db, [step('a', ''), step('b', '')])
  const other = new MultiStepPgQueue<{ n: number }>(db, full.queue_name, 'other', [step('x', '')])
  await full.addJobs([{ n: 1 }, { n: 2 }])
  await other.addJob({ n: 1 })
  const { queue_name } = full
  expect(await checkWorkflows(db, [full, other])).toEqual([])
  expect(await checkWorkflows(db, { full })).toEqual([{ queue_name, workflow: 'other', version: 1, step: 'x', open_runs: 1, missing: 'workflow' }])
  const changed = new MultiStepPgQueue<{ n: number }>(db, queue_name, 'w', [step('b', '')])
  expect(await checkWorkflows(db, [changed, other])).toEqual([{ queue_name, workflow: 'w', version: 1, step: 'a', open_runs: 2, missing: 'step' }])
  const raised = new MultiStepPgQueue<{ n: number }>(db, queue_name, 'w', [step('b', '')], undefined, undefined, { version: 2 })
  expect(await checkWorkflows(db, [raised, other])).toEqual([{ queue_name, workflow: 'w', version: 1, step: 'a', open_runs: 2, missing: 'version' }])
  await errorOf(checkWorkflows(db, []), 'invalid_argument')
})

test('the command check-workflows fails when the code has lost a step, and says which', async () => {
  const { queue_name } = await newWorkflow(db, [step('a', '')])
  const module = (name: string, id: string): string => {
    const file = resolve(folder, name)
    writeFileSync(file, `
      import { MultiStepPgQueue, PostgresDb, createMultiStepPgQueueAsRecord } from 'pgq'
      const db = new PostgresDb(process.env.DATABASE_URL!)
      export const something = 1
      export const workflows = createMultiStepPgQueueAsRecord(db, ${JSON.stringify(queue_name)}, 'w', [{ id: '${id}', handler() {} }])`)
    return file
  }
  const check = (...args: string[]): Promise<{ code: number; output: string }> => new Promise((done) => {
    const env = { ...process.env, DATABASE_URL }
    execFile(process.execPath, ['--import', 'tsx', 'src/cli/pgq.ts', 'check-workflows', ...args], { cwd: sdk, env }, (error, stdout, stderr) => {
      done({ code: error ? Number(error.code) : 0, output: stdout + stderr })
    })
  })
  await new MultiStepPgQueue<{ n: number }>(db, queue_name, 'w', [step('a', '')]).addJob({ n: 1 })
  expect(await check(module('good.ts', 'a'))).toEqual({ code: 0, output: expect.stringContaining('All is well: 1 workflow,') })
  const bad = { code: 1, output: expect.stringContaining('workflow "w", version 1: 1 run at step "a", but the code has no such step') }
  expect(await check(module('bad.ts', 'b'))).toEqual(bad)
  expect(await check('--database-url', DATABASE_URL, module('bad.ts', 'b'))).toEqual(bad)
  writeFileSync(resolve(folder, 'none.ts'), 'export const nothing = 1')
  expect(await check(resolve(folder, 'none.ts'))).toEqual({ code: 1, output: expect.stringContaining('Expected `modules` to export a MultiStepPgQueue') })
}, 60_000)
