/** DBOS Transact: workflows on a queue, without steps for jobs, with three for runs. */
import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk'
import { PAYLOAD_LITERAL, PAYLOAD_SQL } from '../payload.ts'
import { connect } from '../postgres.ts'
import { QUEUE, type Peer, type Place, type RunningWorker, type WorkerOptions } from './peer.ts'

const WORKFLOW = 'bench_job'
const RUN_WORKFLOW = 'bench_run'
/** It has no bulk API; so many enqueue at the same time. */
const CALLERS = 16

let run: WorkerOptions['on_job'] = () => {}
let begin: WorkerOptions['on_begin'] = () => {}
let is_registered = false

export const dbos: Peer = {
  name: 'dbos',
  title: 'DBOS',
  about: `a workflow without steps on a queue without limits, minPollingIntervalMs 10, systemDatabasePoolSize 25; latency: defaults. `
    + `Adding: DBOSClient.enqueue (no bulk API: ${CALLERS} at a time), dbos.enqueue_workflow. 3 % of the jobs. Keeps finished workflows`,
  stores_in: 'postgres',
  npm_package: '@dbos-inc/dbos-sdk',
  schema: 'dbos',
  share: 0.03,

  async install({ database_url }) {
    await launch(database_url, [QUEUE], {})
    await DBOS.shutdown()
  },

  openProducer: producerOf(WORKFLOW),
  startWorker,
  runs: { openProducer: producerOf(RUN_WORKFLOW), startWorker },

  sql: {
    add: `SELECT dbos.enqueue_workflow('${WORKFLOW}', '${QUEUE}', ARRAY[${PAYLOAD_LITERAL}]::json[]);`,
    fill: (count) => `
      SELECT count(dbos.enqueue_workflow('${WORKFLOW}', '${QUEUE}', ARRAY[(${PAYLOAD_SQL})::json])) FROM generate_series(1, ${count}) AS n`,
  },
}

function producerOf(workflowName: string): Peer['openProducer'] {
  return async ({ database_url }, connections) => {
    const client = await DBOSClient.create({ systemDatabaseUrl: database_url, systemDatabasePoolSize: connections, logger: silent })
    const own = await connect(database_url)
    const enqueue = (payload: object, queueName: string) => client.enqueue({ queueName, workflowName }, payload)
    return {
      add: (payload) => enqueue(payload, QUEUE),
      async addMany(payloads, queue_name = QUEUE) {
        let next = 0
        await Promise.all(Array.from({ length: Math.min(CALLERS, connections) }, async () => {
          while (next < payloads.length) await enqueue(payloads[next++]!, queue_name)
        }))
      },
      async isDrained() {
        const { rows } = await own.query(
          `SELECT NOT EXISTS (SELECT FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')) AS drained`)
        return rows[0].drained
      },
      async end() {
        await client.destroy()
        await own.end()
      },
    }
  }
}

async function startWorker({ database_url }: Place, { queue_names, settings, on_job, on_begin }: WorkerOptions): Promise<RunningWorker> {
  run = on_job
  begin = on_begin
  await launch(database_url, queue_names, settings === 'best' ? { minPollingIntervalMs: 10 } : {})
  return { stop: () => DBOS.shutdown() }
}

const silent = { info() {}, debug() {}, warn() {}, error: (entry: unknown) => console.error('DBOS:', entry) }

async function launch(systemDatabaseUrl: string, queue_names: readonly string[], options: { minPollingIntervalMs?: number }): Promise<void> {
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl, systemDatabasePoolSize: 25, logger: silent })
  if (!is_registered) {
    DBOS.registerWorkflow(async (payload: unknown) => run(payload), { name: WORKFLOW })
    DBOS.registerWorkflow(async (payload: unknown) => {
      begin()
      await DBOS.runStep(async () => ({ step: 1 }), { name: 'one' })
      await DBOS.runStep(async () => ({ step: 2 }), { name: 'two' })
      await DBOS.runStep(async () => run(payload), { name: 'three' })
    }, { name: RUN_WORKFLOW })
    is_registered = true
  }
  await DBOS.launch()
  for (const name of queue_names) await DBOS.registerQueue(name, options)
}
