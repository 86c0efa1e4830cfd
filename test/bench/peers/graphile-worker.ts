/** graphile-worker. Its raw statements are those of its own modules, so that they are what its workers send. */
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Logger, makeWorkerUtils, run, type WorkerUtils } from 'graphile-worker'
import { Pool, type ClientBase } from 'pg'
import { PAYLOAD_LITERAL, PAYLOAD_SQL } from '../payload.ts'
import { connect } from '../postgres.ts'
import { oneLine, record, withLiterals } from './recording.ts'
import { QUEUE, type Held, type Peer, type Session } from './peer.ts'

/** Logging each job would cost it much. */
const logger = new Logger(() => () => {})

/** The configuration that its page on performance gives for its own figures. */
const BEST = {
  concurrentJobs: 24, maxPoolSize: 25, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0,
}

export const graphile_worker: Peer = {
  name: 'graphile-worker',
  title: 'graphile-worker',
  about: 'the configuration of its page "Performance": concurrentJobs 24, maxPoolSize 25, localQueue size 500, batch delays 0, '
    + 'no logging; latency: defaults. Adding: addJob, addJobs, add_job, add_jobs. Raw: the statements of its own getJobs and completeJobs modules, prepared',
  stores_in: 'postgres',
  npm_package: 'graphile-worker',
  schema: 'graphile_worker',

  async install({ database_url }) {
    const utils = await makeWorkerUtils({ connectionString: database_url, logger })
    await utils.migrate()
    await utils.release()
  },

  async openProducer({ database_url }, connections) {
    const utils: WorkerUtils = await makeWorkerUtils({ connectionString: database_url, maxPoolSize: connections, logger })
    return {
      add: (payload) => utils.addJob(QUEUE, payload),
      addMany: (payloads, identifier = QUEUE) => utils.addJobs(payloads.map((payload) => ({ identifier, payload }))),
      isDrained: () => utils.withPgClient(async (client) => {
        const { rows } = await client.query<{ drained: boolean }>('SELECT NOT EXISTS (SELECT FROM graphile_worker._private_jobs) AS drained')
        return rows[0]!.drained
      }),
      end: async () => utils.release(),
    }
  },

  async startWorker({ database_url }, { queue_names, settings, on_job }) {
    return run({
      connectionString: database_url, logger, noHandleSignals: true,
      taskList: Object.fromEntries(queue_names.map((name) => [name, async (payload: unknown) => on_job(payload)])),
      ...(settings === 'best' && { preset: { worker: BEST } }),
    })
  },

  sql: {
    add: `SELECT id FROM graphile_worker.add_job('${QUEUE}', ${PAYLOAD_LITERAL}::json);`,
    fill: (count, group) => `
      SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
        SELECT ('${QUEUE}', (${PAYLOAD_SQL})::json, ${group === undefined ? 'NULL' : `'${group}'`}, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec
        FROM generate_series(1, ${count}) AS n))`,
  },

  async openSession(database_url): Promise<Session> {
    const pgPool = new Pool({ connectionString: database_url, max: 1 })
    const report = (error: Error): void => console.error(`graphile-worker: ${error.message}`)
    pgPool.on('error', report).on('connect', (client) => client.on('error', report))
    const utils = await makeWorkerUtils({ pgPool, logger })
    const raw = await rawCalls()
    return {
      add: (payloads, group) => utils.addJobs(payloads.map((payload) => ({
        identifier: QUEUE, payload, ...(group !== undefined && { queueName: group }),
      }))),
      pick: (max_jobs) => utils.withPgClient((client) => raw.pick(client, max_jobs)),
      release: (held) => utils.withPgClient((client) => raw.release(client, held)),
      async end() {
        await utils.release()
        await pgPool.end()
      },
    }
  },

  async pickScripts(database_url) {
    await using client = await connect(database_url)
    await client.query(this.sql!.add)
    const statements = record(client)
    const raw = await rawCalls()
    await raw.pick(client, 1)
    const pick = statements.at(-1)!
    await raw.release(client, [{ id: '0', job_queue_id: null }])
    const release = statements.at(-1)!
    return {
      two_calls: `
        ${withLiterals(pick)} \\gset
        ${oneLine(release.text).replaceAll('$1', ':id')};`,
    }
  },
}

interface RawCalls {
  pick(client: ClientBase, max_jobs: number): Promise<Held>
  release(client: ClientBase, held: Held): Promise<void>
}

/** The functions its worker picks and completes by; they are not exported. */
async function rawCalls(): Promise<RawCalls> {
  const main = createRequire(import.meta.url).resolve('graphile-worker')
  const load = (file: string): Promise<Record<string, (...args: unknown[]) => Promise<never>>> => import(new URL(file, pathToFileURL(main)).href)
  const { batchGetJobs } = await load('sql/getJobs.js')
  const { batchCompleteJobs } = await load('sql/completeJobs.js')
  const settings = {
    escapedWorkerSchema: 'graphile_worker', workerSchema: 'graphile_worker', logger,
    resolvedPreset: { worker: { preparedStatements: true, useNodeTime: false } },
  }
  const tasks = { [QUEUE]: () => {} }
  const giving = (client: ClientBase): unknown => {
    const give = (work: (client: ClientBase) => unknown): unknown => work(client)
    return Object.assign(give, { withRetries: give })
  }
  return {
    pick: (client, max_jobs) => batchGetJobs!(settings, giving(client), tasks, 'bench', null, max_jobs),
    release: (client, held) => batchCompleteJobs!(settings, giving(client), 'bench', held),
  }
}
