/** What of workflows must compile, and what must not: checked by `tsc`, never run. */
import {
  completeRun, createJobHandler, createMultiStepPgQueueAsRecord, failJob, goToStep, MultiStepPgQueue, PgQueue, sleepFor, startChildren, startWorker,
  steps, waitForSignal, z, type Queryable, type StepContext, type Stored,
} from '../src/index.ts'

declare const db: Queryable
declare const body: unknown

function same<A, B>(_: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false): void {}

const person = z.object({ name: z.string(), born: z.string().transform((text) => new Date(text)) })

export async function payloadsOfStepsAreTyped(): Promise<void> {
  const checked = new MultiStepPgQueue(db, 'q', 'w', [
    {
      id: 'no1',
      handler: async (payload, job_id, context) => {
        same<typeof payload, { name: string; born: Date }>(true)
        same<typeof job_id, number>(true)
        same<typeof context.outputs, Readonly<Record<string, unknown>>>(true)
        return 'failed'
      },
      custom_timeout_milliseconds: 1000,
      compensate: (payload, _job_id, { failure }) => console.log(payload.name, failure),
    },
  ], person, 'schema', { version: 2, previous_versions: { 1: [{ id: 'old', handler() {} }] } })
  await checked.addJob({ name: 'Bob', born: '2000' })
  // @ts-expect-error What is added is not parsed yet.
  await checked.addJob({ name: 'Bob', born: new Date() })
  // @ts-expect-error The workflow is said by the object.
  await checked.addJob({ name: 'Bob', born: '2000' }, { workflow: 'other' })
  if (checked.ownsJob(body)) same<typeof body.payload, { name: string; born: string }>(true)
  same<ReturnType<typeof checked.getRawQueue>['payload_schema'], typeof checked extends MultiStepPgQueue<infer T, infer P> ? PgQueue<T, P>['payload_schema'] : never>(true)

  const plain = new MultiStepPgQueue<{ n: number }>(db, 'q', 'w', [{ id: 'a', handler: ({ n }) => n + 1 }])
  await plain.addJob({ n: 1 }, { retries: 3 })
  // @ts-expect-error A payload of another type.
  await plain.addJob({ n: 'x' })
  // @ts-expect-error A step without a handler.
  new MultiStepPgQueue(db, 'q', 'w', [{ id: 'a' }])
  // @ts-expect-error A setting that does not exist.
  new MultiStepPgQueue(db, 'q', 'w', [{ id: 'a', handler() {}, timeout: 5 }])

  const answer = await plain.processNextJob()
  if (answer.status === 'ok') same<typeof answer.had_job, boolean>(true)
  else same<typeof answer.error.message, string | undefined>(true)
}

export async function idsOfWorkflowsAreChecked(): Promise<void> {
  const workflows = {
    ...createMultiStepPgQueueAsRecord(db, 'q', 'v1', [
      // A workflow may start another one, declared later.
      { id: 'step1', handler: async (payload) => { await workflows.v2.addJob({ n: payload.name.length }) } },
    ], z.object({ name: z.string() })),
    ...createMultiStepPgQueueAsRecord(db, 'q', 'v2', [{ id: 'step1', handler: async () => {} }], z.object({ n: z.number() })),
  }
  await workflows.v1.addJob({ name: 'Bob' })
  same<typeof workflows.v2.workflow_id, 'v2'>(true)
  // @ts-expect-error The payload of another workflow.
  await workflows.v1.addJob({ n: 1 })
  // @ts-expect-error No such workflow.
  await workflows.v3?.addJob({ n: 1 })
  startWorker(Object.values(workflows), { concurrency: 5 })
}

export async function outputsAreTypedStepByStep(): Promise<void> {
  const list = steps(person)
    .step({ id: 'count', handler: ({ name, born }, job_id, context) => {
      same<typeof born, Date>(true)
      same<typeof job_id, number>(true)
      same<typeof context, StepContext<object>>(true)
      return { length: name.length, at: new Date() }
    } })
    .step({ id: 'nothing', handler: async () => {} })
    .step({ id: 'words', handler: async ({ name }) => (name === '' ? 'failed' : name === 'x' ? 'complete' : { first: name.slice(0, 1) }) })
    .step({ id: 'sleep', handler: async ({ name }) => (name === '' ? failJob('no') : sleepFor(1000, [name])) })
    .step({ id: 'wait', handler: () => waitForSignal('ok', { output: 5 }) })
    .step({
      id: 'use',
      handler: (_payload, _job_id, { outputs }) => {
        same<typeof outputs.count, { length: number; at: string }>(true)
        same<typeof outputs.nothing, undefined>(true)
        same<typeof outputs.words, undefined | { first: string }>(true)
        same<typeof outputs.sleep, string[]>(true)
        same<typeof outputs.wait, number>(true)
        // @ts-expect-error It is not done yet.
        outputs.use
        return completeRun('the end')
      },
      compensate: (_payload, _job_id, { outputs }) => same<typeof outputs.use, string>(true),
    })
  const workflow = new MultiStepPgQueue(db, 'q', 'w', list)
  await workflow.addJob({ name: 'Bob', born: '2000' })
  // @ts-expect-error Its schema is that of the list.
  await workflow.addJob({ name: 'Bob' })
  new MultiStepPgQueue(db, 'q', 'w', steps<{ n: number }>().step({ id: 'a', handler: ({ n }) => goToStep('a', { output: n }) }))

  same<Stored<{ when: Date; list: [Date, number]; f: () => void; u?: bigint | null }>, { when: string; list: [string, number]; f: undefined; u?: bigint | null }>(true)
  same<Stored<unknown>, unknown>(true)
}

export function workersAndEndpointsTakeWorkflows(): void {
  const workflow = new MultiStepPgQueue<{ n: number }>(db, 'q', 'w', [{ id: 'a', handler: ({ n }) => n }])
  const numbers = new PgQueue<number>(db, 'numbers')
  startWorker(workflow)
  startWorker([workflow, workflow], { concurrency: 2 })
  startWorker([workflow, numbers], (payload) => same<typeof payload, number>(true), { concurrency: 2 })
  // @ts-expect-error The jobs of the queue need a handler.
  startWorker([workflow, numbers], { concurrency: 2 })
  createJobHandler(workflow, { signing_secret: 'x' })
  createJobHandler([workflow], { signing_secret: 'x' })
  createJobHandler([numbers, workflow], (payload) => same<typeof payload, number>(true), { signing_secret: 'x' })
  // @ts-expect-error Nothing to prove where a request comes from.
  createJobHandler(workflow)
  startChildren([workflow.asChild({ n: 1 }, { priority: 5 }), { payload: 7, queue_name: 'numbers' }], { failed_children: 1 })
  // @ts-expect-error A payload of another type.
  workflow.asChild({ n: 'x' })
}

export function olderVersionsMayHaveOtherPayloads(): void {
  const old = steps(z.object({ n: z.number() })).step({ id: 'a', handler: ({ n }) => n })
  new MultiStepPgQueue(db, 'q', 'w', [{ id: 'b', handler: ({ name }) => name }], person, undefined, {
    version: 3,
    previous_versions: { 1: old, 2: [{ id: 'a', handler: (payload) => same<typeof payload, { name: string; born: Date }>(true) }] },
  })
}

/** Thirty steps, each of which knows all before it. */
export function longListsStayCheap(): void {
  const step = <const Id extends string>(id: Id) => ({ id, handler: async () => ({ id: 1, text: 'x', deep: { list: [1] } }) })
  const list = steps(person)
    .step(step('s1')).step(step('s2')).step(step('s3')).step(step('s4')).step(step('s5')).step(step('s6')).step(step('s7')).step(step('s8'))
    .step(step('s9')).step(step('s10')).step(step('s11')).step(step('s12')).step(step('s13')).step(step('s14')).step(step('s15'))
    .step(step('s16')).step(step('s17')).step(step('s18')).step(step('s19')).step(step('s20')).step(step('s21')).step(step('s22'))
    .step(step('s23')).step(step('s24')).step(step('s25')).step(step('s26')).step(step('s27')).step(step('s28')).step(step('s29'))
    .step({ id: 's30', handler: (_payload, _job_id, { outputs }) => outputs.s1.id + outputs.s29.deep.list.length })
  same<(typeof list)['outputs']['s30'], number>(true)
  new MultiStepPgQueue(db, 'q', 'w', list)
}
