/** pg-boss. Its raw calls are its own `insert`, `fetch` and `complete` on one connection. */
import { PgBoss } from 'pg-boss'
import type { Client } from 'pg'
import { PAYLOAD_LITERAL, PAYLOAD_SQL } from '../payload.ts'
import { connect } from '../postgres.ts'
import { oneLine, record, withLiterals } from './recording.ts'
import { QUEUE, type Peer, type Session } from './peer.ts'

/** Its documents name no figures. Of batches of 100 to 5000 with 1 to 4 workers these were among the quickest, with the burst mode it has for a backlog. */
const BEST = { batchSize: 1000, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }

export const pg_boss: Peer = {
  name: 'pg-boss',
  title: 'pg-boss',
  about: 'work with batchSize 1000, localConcurrency 4, burstWhenBatchFull, pollingIntervalSeconds 0.5 (its least); latency: defaults. '
    + 'Adding: send, insert, and INSERT INTO pgboss.job as its page on SQL has it. Raw: its fetch and complete on one connection; for pgbench their statements. Keeps completed jobs',
  stores_in: 'postgres',
  npm_package: 'pg-boss',
  schema: 'pgboss',

  async install({ database_url }) {
    const boss = await start(new PgBoss(database_url))
    await boss.createQueue(QUEUE)
    await boss.stop({ graceful: false })
  },

  async openProducer({ database_url }, connections) {
    const boss = await start(new PgBoss({ connectionString: database_url, max: connections, supervise: false, schedule: false, migrate: false }))
    const known = new Set([QUEUE])
    return {
      add: (payload) => boss.send(QUEUE, payload),
      async addMany(payloads, queue_name = QUEUE) {
        if (!known.has(queue_name)) await boss.createQueue(queue_name)
        known.add(queue_name)
        await boss.insert(queue_name, payloads.map((data) => ({ data })))
      },
      async isDrained() {
        const { rows } = await boss.getDb().executeSql(`SELECT NOT EXISTS (SELECT FROM pgboss.job WHERE state < 'completed') AS drained`, [])
        return rows[0].drained
      },
      end: () => boss.stop({ graceful: false }),
    }
  },

  async startWorker({ database_url }, { queue_names, settings, on_job }) {
    const boss = await start(new PgBoss(database_url))
    // Many queues have workers enough with one each.
    const best = queue_names.length > 1 ? { ...BEST, localConcurrency: 1 } : BEST
    for (const name of queue_names) {
      await boss.work<unknown>(name, settings === 'best' ? best : {}, async (jobs) => {
        for (const job of jobs) on_job(job.data)
      })
    }
    return { stop: () => boss.stop({ graceful: true }) }
  },

  sql: {
    add: `INSERT INTO pgboss.job (name, data) VALUES ('${QUEUE}', ${PAYLOAD_LITERAL});`,
    fill: (count, group) => `
      INSERT INTO pgboss.job (name, data, group_id)
      SELECT '${QUEUE}', (${PAYLOAD_SQL})::jsonb, ${group === undefined ? 'NULL' : `'${group}'`} FROM generate_series(1, ${count}) AS n`,
  },

  async openSession(database_url): Promise<Session> {
    const client = await connect(database_url)
    const boss = await onConnection(client)
    return {
      add: (payloads, group) => boss.insert(QUEUE, payloads.map((data) => ({ data, ...(group !== undefined && { group: { id: group } }) }))),
      pick: async (max_jobs) => await boss.fetch(QUEUE, { batchSize: max_jobs }) as never,
      release: (held) => boss.complete(QUEUE, held.map(({ id }) => id as string)),
      async end() {
        await boss.stop({ graceful: false })
        await client.end()
      },
    }
  },

  async pickScripts(database_url) {
    await using client = await connect(database_url)
    const statements = record(client)
    const boss = await onConnection(client)
    await boss.send(QUEUE, {})
    const [job] = await boss.fetch(QUEUE)
    const pick = statements.at(-1)!
    await boss.complete(QUEUE, job!.id)
    const { text, values } = statements.at(-1)!
    await boss.stop({ graceful: false })
    return {
      two_calls: `
        ${withLiterals(pick)} \\gset
        ${withLiterals({ text: oneLine(text).replace('$2::uuid[]', 'ARRAY[:id]::uuid[]'), values })};`,
    }
  },
}

async function start(boss: PgBoss): Promise<PgBoss> {
  boss.on('error', (error) => console.error(`pg-boss: ${error.message}`))
  await boss.start()
  return boss
}

/** pg-boss on a connection of ours, through the adapter that it documents. */
function onConnection(client: Client): Promise<PgBoss> {
  const executeSql = async (text: string, values?: unknown[]) => await client.query(text, values)
  return start(new PgBoss({ db: { executeSql }, supervise: false, schedule: false, migrate: false }))
}
