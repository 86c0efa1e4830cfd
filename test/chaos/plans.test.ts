/**
 * A queue is empty one minute and a million jobs long the next, and nobody analyses it in between: plans that were made for
 * the empty table must be good for the long one, and those of a new session too.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buffersOf, openExplainingSession, quantile, updatesOf, type ExplainingSession } from '../support/buffers.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { openSession, type Session } from '../support/session.ts'

const JOBS = 1_000_000

/** What pays off only on a table of known size. The tables of queues, lanes, workflows and workers are small, and may be read as one likes. */
const FORBIDDEN = /^(Seq Scan|Bitmap Heap Scan|Sample Scan) on (job|running_job|unique_key|group_hint|finished_job|request|run_\w+|child_result)/

// Each statement that a worker, a producer or a dispatcher issues, for some jobs that it holds.
const statements: Readonly<Record<string, (of: number) => string>> = {
  'a pick': (of) => `INSERT INTO mine SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['mail'], ${of}) AS p`,
  'a pick from several queues': (of) => `
    INSERT INTO mine SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['mail', 'other', 'limited', 'grouped'], ${of}) AS p`,
  'a pick from a limited queue': (of) => `
    INSERT INTO mine SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['limited'], ${of}) AS p`,
  'a pick from a queue with groups': (of) => `
    INSERT INTO mine SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['grouped'], ${of}) AS p`,
  'a keep-alive': (of) => `SELECT count(*) FROM pgq.keep_jobs_alive(${heldBy(of)}) AS k`,
  'a release': (of) => `SELECT pgq.release_jobs(${heldBy(of)}, 'complete')`,
  'a release that fails': (of) => `SELECT pgq.release_jobs(${heldBy(of)}, 'failed')`,
  'a release that gives back': (of) => `SELECT pgq.release_jobs(${heldBy(of)}, 'paused')`,
  'a release with the next pick': (of) => `
    INSERT INTO mine SELECT p.job_id, p.lease_token
    FROM pgq.release_and_pick(${heldBy(of)}, 'complete', ARRAY['mail'], ${of}) AS p`,
  'a release of jobs with keys': (of) => `SELECT pgq.release_jobs(${heldBy(of)}, 'complete')`,
  'an add': (of) => `SELECT pgq.add_jobs('mail', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${of}) AS i))`,
  'an add with keys': (of) => `
    SELECT pgq.add_jobs('keyed', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${of}) AS i), on_conflict => 'replace',
                        unique_keys => ARRAY(SELECT 'key ' || i FROM generate_series(1, ${of}) AS i))`,
  'an add with keys that are held': (of) => `
    SELECT pgq.add_jobs('keyed', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${of}) AS i),
                        unique_keys => ARRAY(SELECT 'key ' || i FROM generate_series(1, ${of}) AS i))`,
  'an add with a key': () => `SELECT pgq.add_job('keyed', '1', unique_key => 'key 1', on_conflict => 'replace')`,
  'an add with groups': (of) => `
    SELECT pgq.add_jobs('grouped', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${of}) AS i),
                        group_keys => ARRAY(SELECT 'group ' || i FROM generate_series(1, ${of}) AS i))`,
  'an add of runs': (of) => `
    SELECT pgq.add_jobs('flow', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${of}) AS i), workflow => 'w')`,
  'a pick of runs': (of) => `
    INSERT INTO mine SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['flow'], ${of}) AS p`,
  'a look at the steps of runs': (of) => `SELECT count(*) FROM pgq.get_steps(ARRAY(SELECT m.job_id FROM mine AS m LIMIT ${of})) AS s`,
  'a release of runs': (of) => `SELECT pgq.release_jobs(${heldBy(of)}, 'complete')`,
  'a release of runs that fails': (of) => `SELECT pgq.release_jobs(${heldBy(of)}, 'failed')`,
  'the end of runs': (of) => `SELECT count(*) FROM pgq.finish_steps(${stepsOf(of, '{"complete": true}')}) AS s`,
  'a wait of runs for signals': (of) => `SELECT count(*) FROM pgq.finish_steps(${stepsOf(of, '{"signal": "s"}')}) AS s`,
  'a start of children by runs': (of) => `
    SELECT count(*) FROM pgq.finish_steps(${stepsOf(of, '{"children": [{"payload": 1, "queue_name": "kids"}]}')}) AS s`,
  'a release of children': (of) => `SELECT pgq.release_jobs(${heldBy(of)}, 'complete')`,
  'an announcement of idleness': () => `SELECT pgq.announce_idle(ARRAY['mail', 'grouped'], 'me', 1000)`,
  'a pick of requests': (of) => `INSERT INTO mine SELECT r.job_id, r.lease_token FROM pgq.pick_requests(${of}) AS r`,
  'a look at the endpoints': () => `SELECT count(*) FROM pgq.endpoint_status() AS s`,
  'an extension of requests': (of) => `SELECT count(*) FROM pgq.extend_requests(${heldBy(of)}) AS e`,
  'an answer to requests': (of) => `SELECT count(*) FROM pgq.answer_requests(${answersOf(of, 200)}) AS a`,
  // One that says nothing against the endpoint.
  'a failing answer to requests': (of) => `SELECT count(*) FROM pgq.answer_requests(${answersOf(of, 404)}) AS a`,
}

/** The arguments of a release: what `mine` holds, no more than so many. */
function heldBy(of: number): string {
  const held = (column: string): string => `
    ARRAY(SELECT m.${column} FROM mine AS m ORDER BY m.place DESC LIMIT ${of})`
  return `${held('job_id')}, ${held('lease_token')}`
}

/** What `mine` holds, answered with this status. */
function answersOf(of: number, status: number): string {
  return answering(of, `'status_code', ${status}, 'body', '{}'`)
}

function answering(of: number, answer: string): string {
  return `(
    SELECT COALESCE(jsonb_agg(jsonb_build_object('job_id', m.job_id, 'lease_token', m.lease_token, ${answer})), '[]')
    FROM (SELECT m.job_id, m.lease_token FROM mine AS m ORDER BY m.place DESC LIMIT ${of}) AS m)`
}

/** The argument of finish_steps for what `mine` holds, no more than so many. */
function stepsOf(of: number, next: string): string {
  return `
    (SELECT COALESCE(jsonb_agg(jsonb_build_object('job_id', m.job_id, 'lease_token', m.lease_token, 'next', '${next}'::jsonb)), '[]')
     FROM (SELECT held.job_id, held.lease_token FROM mine AS held ORDER BY held.place DESC LIMIT ${of}) AS m)`
}

/** A scan may follow 400 entries before it is worth a watermark. A pick from several queues looks at each, one of a queue with groups at each group that has a hint, until it has enough: hundreds, not a million. */
function mostBuffers(name: string, of: number): number {
  if (/pick (from (several|a queue with groups)|of requests)/.test(name)) return 10_000 + 60 * of
  if (/children|runs/.test(name)) return 500 + 150 * of
  return (/pick/.test(name) ? 500 : 200) + 60 * of
}

/** The queue whose jobs are held for the statement; none when it needs none. */
function heldFrom(name: string): string | undefined {
  const queues = [
    [/answer|extension/, 'sent'], [/of jobs with keys/, 'keyed'], [/of children/, 'kids'], [/(steps|release|end|wait|children).* runs/, 'flow'],
    [/release|keep-alive/, 'mail'],
  ] as const
  return queues.find(([names]) => names.test(name))?.[1]
}

describe(`from an empty queue to ${JOBS} jobs`, () => {
  let cluster: Cluster
  /** Has cached its plans while there was nothing. */
  let old: ExplainingSession
  let analyst: Session

  beforeAll(async () => {
    cluster = await startCluster({ settings: { autovacuum: 'off', checkpoint_timeout: '1h', max_wal_size: '8GB' } })
    cluster.psql('CREATE EXTENSION pgq')
    analyst = openSession(cluster.url)
    old = await open()
    await old.sql`SELECT pgq.set_queue_config(q, pause_between_retries_milliseconds => 0, timeout_milliseconds => 3600000) FROM unnest(ARRAY['mail', 'other', 'keyed', 'flow', 'kids', 'sent', 'sent too']) AS q`
    await old.sql`
      SELECT pgq.set_endpoint(q, 'https://example.com', timeout_milliseconds => 900000, max_in_flight => 10000, client_error_attempts => 1000)
      FROM unnest(ARRAY['sent', 'sent too']) AS q`
    await old.sql`SELECT pgq.set_queue_config('limited', max_concurrency => 1000000, timeout_milliseconds => 3600000)`
    await old.sql`SELECT pgq.set_queue_config('grouped', max_concurrency_per_group => 2, timeout_milliseconds => 3600000)`
    await old.sql`SELECT pgq.define_workflow('flow', 'w', 1, '[{"id": "one"}, {"id": "two"}, {"id": "three"}]')`
    await old.sql`ANALYZE`
    // A plan is cached for good after five executions.
    for (let time = 0; time < 7; time++) {
      for (const [name, statement] of Object.entries(statements)) {
        for (const of of [1, 100]) {
          await hold(old.sql, 3, heldFrom(name))
          await old.sql.unsafe(statement(of))
        }
      }
      await old.sql`SELECT pgq.add_jobs(q, ARRAY['1', '2', '3']::jsonb[]) FROM unnest(ARRAY['mail', 'other', 'limited', 'sent', 'sent too']) AS q`
      await old.sql`SELECT pgq.add_jobs('flow', ARRAY['1', '2', '3']::jsonb[], workflow => 'w')`
    }
  }, 120_000)

  afterAll(async () => {
    await Promise.all([old?.sql, analyst].map((session) => session?.end()))
    await cluster?.[Symbol.asyncDispose]()
  })

  async function open(): Promise<ExplainingSession> {
    const session = await openExplainingSession(cluster.url)
    await session.sql`
      CREATE TEMPORARY TABLE mine (job_id bigint, lease_token bigint, place integer GENERATED ALWAYS AS IDENTITY)`
    return session
  }

  /** Has the session hold so many jobs of the queue, if any, anew. */
  async function hold(sql: Session, count: number, queue: string | undefined): Promise<void> {
    // Requests that stay under way would be counted at each pick.
    await sql.unsafe(`SELECT count(*) FROM pgq.answer_requests(${answering(1000, `'given_back', true`)}) AS a`)
    await sql`DELETE FROM mine`
    if (queue === undefined) return
    if (queue === 'sent') await sql`INSERT INTO mine SELECT r.job_id, r.lease_token FROM pgq.pick_requests(${count}) AS r`
    else await sql`INSERT INTO mine SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY[${queue}], ${count}) AS p`
  }

  /** Each statement's plans are good, and what it reads does not hang on what lies in the table. */
  async function judge({ sql, accessesOf }: ExplainingSession, who: string): Promise<void> {
    const buffers: Record<string, number> = {}
    const wrong: string[] = []
    for (const [name, statement] of Object.entries(statements)) {
      for (const of of [1, 100]) {
        const what = `${name} of ${of}`
        await hold(sql, of, heldFrom(name))
        const accesses = await accessesOf(() => sql.unsafe(statement(of)))
        wrong.push(...accesses.filter((access) => FORBIDDEN.test(access)).map((access) => `${what}: ${access}`))

        // A scan from the beginning, which a watermark allows now and then, is not counted.
        const reads: number[] = []
        for (let time = 0; time < 3; time++) {
          await hold(sql, of, heldFrom(name))
          reads.push(await buffersOf(sql, statement(of)))
        }
        buffers[what] = Math.min(...reads)
        if (buffers[what] > mostBuffers(name, of)) wrong.push(`${what}: ${buffers[what]} buffers`)
      }
    }
    expect(wrong, `${who} reads ${JSON.stringify(buffers)}`).toEqual([])
  }

  test('the plans of a queue that is empty are good', async () => {
    await judge(old, 'a session on an empty table')
  })

  test('the plans of the empty queue are good for a million jobs that nobody has analysed', async () => {
    for (let i = 0; i < 6; i++) {
      await old.sql`SELECT pgq.add_jobs('mail', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${JOBS / 10}::integer) AS i))`
    }
    for (const queue of ['sent', 'sent too']) {
      await old.sql`SELECT pgq.add_jobs(${queue}, ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${JOBS / 20}::integer) AS i))`
    }
    for (const queue of ['limited', 'grouped']) {
      await old.sql`
        SELECT pgq.add_jobs(${queue}, ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${JOBS / 10}::integer) AS i),
                            group_keys => ARRAY(SELECT 'group ' || i % 1000 FROM generate_series(1, ${JOBS / 10}::integer) AS i))`
    }
    await old.sql`
      SELECT pgq.add_jobs('keyed', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${JOBS / 10}::integer) AS i),
                          unique_keys => ARRAY(SELECT 'key ' || i FROM generate_series(1, ${JOBS / 10}::integer) AS i))`
    await old.sql`
      SELECT pgq.add_jobs('flow', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${JOBS / 10}::integer) AS i), workflow => 'w')`
    await judge(old, 'the old session with a million jobs')
    const young = await open()
    await judge(young, 'a new session with a million jobs')
    await young.sql.end()
  })

  test('at least 95 of 100 picks are HOT updates', async () => {
    const sums = { updated: 0, hot: 0 }
    for (const of of [100, 100, 100, 100, 1000, 1000, 5000, 10_000, 1, 1]) {
      const { updated, hot } = await updatesOf(old.sql, 'pgq.job', () => old.sql.unsafe(statements['a pick']!(of)))
      expect(updated).toBe(of)
      sums.updated += updated
      sums.hot += hot
    }
    console.log(`${sums.hot} of ${sums.updated} picks were HOT`)
    expect(sums.hot / sums.updated).toBeGreaterThanOrEqual(0.95)
  })

  test('a drained lane with 500 000 dead rows costs a pick no more than an empty one', async () => {
    await analyst`BEGIN ISOLATION LEVEL REPEATABLE READ`
    await analyst`SELECT count(*) FROM pgq.queue`
    const { sql } = await open()
    for (let i = 0; i < 50; i++) {
      await sql`SELECT pgq.add_jobs('dead', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, 10000) AS i))`
      await hold(sql, 10_000, 'dead')
      await sql.unsafe(`SELECT pgq.release_jobs(${heldBy(10_000)}, 'complete')`)
    }
    const reads: number[] = []
    for (let i = 0; i < 100; i++) reads.push(await buffersOf(sql, `SELECT FROM pgq.pick_jobs(ARRAY['dead'])`))
    const fresh = await open()
    const first = await buffersOf(fresh.sql, `SELECT FROM pgq.pick_jobs(ARRAY['dead'])`)
    for (let i = 0; i < 100; i++) reads.push(await buffersOf(fresh.sql, `SELECT FROM pgq.pick_jobs(ARRAY['dead'])`))
    console.log(`a pick from the drained lane: the first of a session reads ${first} buffers, half of the others no more than ${quantile(reads, 0.5)}`)
    expect(first, 'there is no graveyard to walk around').toBeGreaterThan(5000)
    expect(quantile(reads, 0.5)).toBeLessThan(mostBuffers('a pick', 1))
    await Promise.all([sql.end(), fresh.sql.end()])
    await analyst`COMMIT`
  })

  test('the plans are good for a bloated table that an old snapshot keeps from being cleaned', async () => {
    await analyst`BEGIN ISOLATION LEVEL REPEATABLE READ`
    await analyst`SELECT count(*) FROM pgq.queue`
    for (let i = 0; i < 10; i++) {
      await hold(old.sql, 10_000, 'mail')
      await old.sql.unsafe(`SELECT pgq.release_jobs(${heldBy(10_000)}, ${i % 2 ? `'complete'` : `'paused'`})`)
      await hold(old.sql, 2000, 'sent')
      await old.sql.unsafe(statements['an answer to requests']!(2000))
    }
    await judge(old, 'the old session with bloat')
    const young = await open()
    await judge(young, 'a new session with bloat')
    await young.sql.end()

    await analyst`COMMIT`
    await old.sql`ANALYZE`
    await judge(old, 'the old session after ANALYZE')
  })
})
