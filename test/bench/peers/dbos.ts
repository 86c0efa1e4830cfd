/** DBOS Transact: workflows without steps, on a queue. */
import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk'
import { PAYLOAD_LITERAL, PAYLOAD_SQL } from '../payload.ts'
import { connect } from '../postgres.ts'
import { QUEUE, type Peer } from './peer.ts'

const WORKFLOW = 'bench_job'
/** It has no bulk API; so many enqueue at the same time. */
const CALLERS = 16

let run: (payload: unknown) => void = () => {}
let workflow: unknown

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

  async openProducer({ database_url }, connections) {
    const client = await DBOSClient.create({ systemDatabaseUrl: database_url, systemDatabasePoolSize: connections, logger: silent })
    const own = await connect(database_url)
    const enqueue = (payload: object, queueName: string) => client.enqueue({ queueName, workflowName: WORKFLOW }, payload)
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
  },

  async startWorker({ database_url }, { queue_names, settings, on_job }) {
    run = on_job
    await launch(database_url, queue_names, settings === 'best' ? { minPollingIntervalMs: 10 } : {})
    return { stop: () => DBOS.shutdown() }
  },

  sql: {
    add: `SELECT dbos.enqueue_workflow('${WORKFLOW}', '${QUEUE}', ARRAY[${PAYLOAD_LITERAL}]::json[]);`,
    fill: (count) => `
      SELECT count(dbos.enqueue_workflow('${WORKFLOW}', '${QUEUE}', ARRAY[(${PAYLOAD_SQL})::json])) FROM generate_series(1, ${count}) AS n`,
  },
}

const silent = { info() {}, debug() {}, warn() {}, error: (entry: unknown) => console.error('DBOS:', entry) }

async function launch(systemDatabaseUrl: string, queue_names: readonly string[], options: { minPollingIntervalMs?: number }): Promise<void> {
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl, systemDatabasePoolSize: 25, logger: silent })
  workflow ??= DBOS.registerWorkflow(async (payload: unknown) => run(payload), { name: WORKFLOW })
  await DBOS.launch()
  for (const name of queue_names) await DBOS.registerQueue(name, options)
}
