import { afterAll, beforeAll, expect, test } from 'vitest'
import { MultiStepPgQueue, signalJob, waitForSignal, type PostgresDb, type Step } from '../src/index.ts'
import { DATABASE_URL, errorOf, newQueue, openDb } from './support.ts'
import { work } from './workflow-support.ts'

/** Workflows of roles that may only what they need. */
const server = openDb()
const role = (access: string): string => `workflow_${access}_${process.pid}`
const open = (access: string): PostgresDb => openDb({ url: DATABASE_URL.replace(/\/\/[^@]*@/, `//${role(access)}@`) })
const list: readonly Step<{ n: number }>[] = [{ id: 'ask', handler: () => waitForSignal('ok') }, { id: 'tell', handler: (_payload, _job_id, { received_signal }) => received_signal }]

beforeAll(async () => {
  for (const access of ['producer', 'worker']) {
    await server.exec(`CREATE ROLE ${role(access)} LOGIN; SELECT pgq.grant_access('${role(access)}', '${access}')`)
  }
})
afterAll(async () => {
  for (const access of ['producer', 'worker']) await server.exec(`DROP OWNED BY ${role(access)}; DROP ROLE ${role(access)}`)
})

test('a producer starts runs that a worker has made known, also in a transaction, and signals them', async () => {
  const { queue_name } = await newQueue(server)
  const [of_producer, of_worker] = [open('producer'), open('worker')]
  const producer = new MultiStepPgQueue(of_producer, queue_name, 'w', list)
  await errorOf(producer.addJob({ n: 1 }), 'workflow_not_found')
  const worker = new MultiStepPgQueue(of_worker, queue_name, 'w', list)
  work(worker)
  await worker.define()
  const added = [
    await producer.addJob({ n: 1 }),
    await of_producer.transaction((transaction) => new MultiStepPgQueue(of_producer, queue_name, 'w', list).addJob({ n: 2 }, { transaction })),
  ]
  for (const { job_id } of added) {
    await signalJob(of_producer, job_id, 'ok', job_id)
    expect(await new MultiStepPgQueue(server, queue_name, 'w', list).waitForResult(job_id)).toMatchObject({ state: 'complete', output: { payload: job_id } })
  }
  await errorOf(producer.define(), 'access_denied')
  await errorOf(producer.processNextJob(), 'access_denied')
})
