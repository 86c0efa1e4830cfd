/** pgq, with its history kept (the default) or without. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { PgQueue, PostgresDb, startWorker } from '../../../sdk-ts/src/index.ts'
import { PAYLOAD_LITERAL, PAYLOAD_SQL } from '../payload.ts'
import { connect } from '../postgres.ts'
import { isDrained, openPool, pgq_fan_outs, pgq_runs, running } from './pgq-runs.ts'
import { QUEUE, type Peer, type Session } from './peer.ts'

/** Built by `make`. */
const SCRIPT = 'extension/pgq.plain.sql'

export function pgq(keep_history: 'all' | 'none'): Peer {
  return {
    name: keep_history === 'all' ? 'pgq' : 'pgq-no-history',
    title: keep_history === 'all' ? 'pgq' : 'pgq, no history',
    about: keep_history === 'all'
      ? 'all defaults: PostgresDb, PgQueue, startWorker(queue, handler). Raw: pick_jobs with durable => false (as the SDK calls it), release_job(s), release_and_pick'
      : "the same with keep_history => 'none'",
    stores_in: 'postgres',
    npm_package: 'pgq',
    schema: 'pgq',

    async install({ database_url }) {
      await using client = await connect(database_url)
      // Relative, because the worker process runs from elsewhere and never installs.
      const script = readFileSync(resolve(import.meta.dirname, '../../..', SCRIPT), 'utf8')
      await client.query(`BEGIN; ${script.replaceAll('@extschema@', 'pgq')}; COMMIT`)
      await client.query('SELECT FROM pgq.set_queue_config($1, keep_history => $2)', [QUEUE, keep_history])
    },

    async openProducer({ database_url }, connections) {
      const db = openPool(database_url, connections)
      const queue = new PgQueue<object>(db, QUEUE)
      return {
        add: (payload) => queue.addJob(payload),
        addMany: (payloads, queue_name = QUEUE) => new PgQueue<object>(db, queue_name).addJobs(payloads),
        isDrained: () => isDrained(db),
        end: () => db.end(),
      }
    },

    async startWorker({ database_url }, { queue_names, on_job }) {
      const db = new PostgresDb(database_url)
      const queues = queue_names.map((name) => new PgQueue<object>(db, name))
      return running(startWorker(queues, async (payload) => on_job(payload)), db)
    },

    runs: pgq_runs,
    fan_outs: pgq_fan_outs,

    sql: {
      add: `SELECT job_id FROM pgq.add_job('${QUEUE}', ${PAYLOAD_LITERAL});`,
      fill: (count, group) => `
        SELECT cardinality(pgq.add_jobs('${QUEUE}', array_agg((${PAYLOAD_SQL})::jsonb)
            ${group === undefined ? '' : `, group_keys => array_fill('${group}'::text, ARRAY[${count}])`}))
        FROM generate_series(1, ${count}) AS n`,
    },

    async pickScripts() {
      return {
        two_calls: `
          SELECT job_id, lease_token, payload FROM pgq.pick_jobs(ARRAY['${QUEUE}'], durable => false) \\gset
          SELECT pgq.release_job(:job_id::bigint, 'complete', :lease_token::bigint);`,
        one_call: `
          SELECT job_id, lease_token, payload
          FROM pgq.release_and_pick(array_remove(ARRAY[:job_id::bigint], 0), array_remove(ARRAY[:lease_token::bigint], 0),
                                    'complete', ARRAY['${QUEUE}']) \\gset`,
      }
    },

    has_one_call: true,

    async openSession(database_url): Promise<Session> {
      const client = await connect(database_url)
      const query = async (name: string, text: string, values: unknown[]) => (await client.query({ name, text, values })).rows
      const columns = 'job_id, lease_token, payload'
      const leases = (held: readonly Record<string, unknown>[]) => [held.map((job) => job['job_id']), held.map((job) => job['lease_token'])]
      return {
        add: (payloads, group) => group === undefined
          ? query('add', 'SELECT pgq.add_jobs($1, $2::jsonb[])', [QUEUE, payloads.map((payload) => JSON.stringify(payload))])
          : query('add_group', 'SELECT pgq.add_jobs($1, $2::jsonb[], group_keys => $3::text[])',
            [QUEUE, payloads.map((payload) => JSON.stringify(payload)), payloads.map(() => group)]),
        pick: (max_jobs) => query('pick', `SELECT ${columns} FROM pgq.pick_jobs($1::text[], $2, durable => false)`, [[QUEUE], max_jobs]),
        release: (held) => query('release', `SELECT pgq.release_jobs($1::bigint[], $2::bigint[], 'complete')`, leases(held)),
        releaseAndPick: (held, max_jobs) => query(
          'release_and_pick', `SELECT ${columns} FROM pgq.release_and_pick($1::bigint[], $2::bigint[], 'complete', $3::text[], $4)`,
          [...leases(held), [QUEUE], max_jobs],
        ),
        end: () => client.end(),
      }
    },
  }
}
