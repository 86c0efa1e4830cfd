/** A run that starts 10 000 children: its next step gets their results in order, and no child costs more than one of a few. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { MultiStepPgQueue, PgQueue, PostgresDb, startChildren, startWorker, type ChildResult, type Queryable } from '../../sdk-ts/src/index.ts'
import { buffersOf } from '../support/buffers.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { openSession, type Session } from '../support/session.ts'

const CHILDREN = 10_000
/** Compared with. */
const FEW = 1000
const BATCH = 100

let cluster: Cluster
let sql: Session

beforeAll(async () => {
  cluster = await startCluster()
})

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await sql?.end()
  cluster.psql('DROP EXTENSION IF EXISTS pgq; CREATE EXTENSION pgq')
  sql = openSession(cluster.url)
  return async () => sql.end()
})

/** The same database, which counts the statements. */
function counting(db: Queryable): Queryable & { statements: number } {
  const counted = {
    ...db,
    statements: 0,
    query<Row>(query: Parameters<Queryable['query']>[0]) {
      counted.statements += 1
      return db.query<Row>(query)
    },
    exec: (script: string) => db.exec(script),
  }
  return counted
}

test(`${CHILDREN} children come back to the next step in their order, through a worker`, async () => {
  await using pool = new PostgresDb(cluster.url)
  const db = counting(pool)
  let seen: readonly ChildResult[] = []
  const parts = new PgQueue<{ n: number }>(db, 'parts')
  const fan_out = new MultiStepPgQueue(db, 'fan', 'out', [
    { id: 'start', handler: () => startChildren(Array.from({ length: CHILDREN }, (_, n) => ({ queue_name: 'parts', payload: { n } }))) },
    {
      id: 'gather',
      handler(_payload, _job_id, { children }) {
        seen = children
        return children.length
      },
    },
    { id: 'end', handler: (_payload, _job_id, { outputs, children }) => ({ gathered: outputs['gather'], left: children.length }) },
  ])
  await using worker = startWorker([fan_out, parts], ({ n }) => ({ n }))
  const { job_id } = await fan_out.addJob({})
  const { state, output } = await fan_out.waitForResult(job_id)

  expect({ state, output }).toEqual({ state: 'complete', output: { gathered: CHILDREN, left: 0 } })
  expect(seen.map((child) => child.output)).toEqual(Array.from({ length: CHILDREN }, (_, n) => ({ n })))
  expect(new Set(seen.map((child) => child.job_id)).size).toBe(CHILDREN)
  expect(worker.stats()).toMatchObject({ complete: CHILDREN + 3, failed: 0, lost: 0 })
  // Nobody asks for each child.
  expect(db.statements).toBeLessThan(CHILDREN / 10)
  const [left] = await sql`
    SELECT (SELECT count(*) FROM pgq.job) AS jobs, (SELECT count(*) FROM pgq.run_wait) AS waits, (SELECT count(*) FROM pgq.child_result) AS results`
  expect(left).toEqual({ jobs: 0, waits: 0, results: 0 })
})

describe('the cost of a child', () => {
  /** Shared buffers for each child: of starting all of them, of finishing them by batches, and of the pick that goes on. */
  async function costOf(children: number): Promise<{ start: number; finish: number; go_on: number }> {
    await sql`SELECT pgq.define_workflow('fan', 'out', 1, '[{"id": "start"}, {"id": "gather"}]')`
    await sql`SELECT pgq.add_job('fan', '{}', workflow => 'out')`
    await sql`CREATE TEMP TABLE parent AS SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['fan']) AS p`
    const start = await buffersOf(sql, `
      SELECT pgq.finish_step(p.job_id, p.lease_token, NULL, jsonb_build_object('children', (
          SELECT jsonb_agg(jsonb_build_object('queue_name', 'parts', 'payload', n)) FROM generate_series(1, ${children}) AS n)))
      FROM parent AS p`)
    let finish = 0
    for (let left = children; left > 0; left -= BATCH) {
      finish += await buffersOf(sql, `
        SELECT pgq.release_jobs(array_agg(p.job_id), array_agg(p.lease_token), 'complete', array_agg(p.payload))
        FROM pgq.pick_jobs(ARRAY['parts'], ${BATCH}) AS p`)
    }
    const go_on = await buffersOf(sql, `CREATE TEMP TABLE gathered AS SELECT p.job_id, p.step FROM pgq.pick_jobs(ARRAY['fan']) AS p`)
    const [state] = await sql`
      SELECT g.step, jsonb_array_length(s.children) AS children, s.children #>> '{-1,output}' AS last
      FROM gathered AS g, pgq.get_steps(ARRAY[g.job_id]) AS s`
    expect(state).toEqual({ step: 'gather', children, last: `${children}` })
    return { start: start / children, finish: finish / children, go_on: go_on / children }
  }

  let few: Awaited<ReturnType<typeof costOf>>
  test(`is known of a run with ${FEW}`, async () => {
    few = await costOf(FEW)
  })

  test(`is the same in a run with ${CHILDREN}`, async () => {
    const many = await costOf(CHILDREN)
    console.log('buffers for each child', few, many)
    for (const what of ['start', 'finish', 'go_on'] as const) expect(many[what], what).toBeLessThan(few[what] * 1.5)
  })
})
