/** kill -9 of the whole server with work in flight: what was committed stands, what was not is done again, nothing twice. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { chanceOf, chooseSeed, type Chance } from '../support/random.ts'
import type { Picked } from '../support/session.ts'

const ROUNDS = 4
const ADDERS = 2
const PICKERS = 4

let cluster: Cluster
let client: pg.Client

beforeAll(async () => {
  // No pick is written to disk before something durable is, so that a crash does lose picks.
  cluster = await startCluster({ settings: { wal_writer_delay: '10s' } })
  cluster.psql(`
    CREATE EXTENSION pgq;
    CREATE TABLE effect (job_id bigint NOT NULL, worker text NOT NULL);
    CREATE INDEX ON effect (job_id);`)
  client = await connect()
})

afterAll(async () => {
  await client?.end()
  await cluster?.[Symbol.asyncDispose]()
})

/** A connection that does not come back by itself, and whose loss is an error of the query that meets it. */
async function connect(): Promise<pg.Client> {
  const connection = new pg.Client({
    connectionString: cluster.url,
    // ids and lease tokens are below 2^53.
    types: { getTypeParser: (oid, format) => (oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format)) },
  })
  connection.on('error', () => {})
  await connection.connect()
  return connection
}

async function query<Row extends pg.QueryResultRow>(connection: pg.Client, text: string, values: unknown[] = []): Promise<Row[]> {
  return (await connection.query<Row>(text, values)).rows
}

/** The server dies, with all that is in flight, and comes back. */
async function crash(): Promise<void> {
  await cluster.kill9()
  await cluster.start()
  client = await connect()
}

function sqlstateOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}

/** What `work` is refused with: its SQLSTATE. Nothing when it succeeds. */
async function refusal(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(() => undefined, (error: unknown) => sqlstateOf(error) ?? Promise.reject(error))
}

async function pick(connection: pg.Client, most: number, { durable = true, lease = 60_000 } = {}): Promise<Picked[]> {
  return query(connection, `
    SELECT p.job_id, p.lease_token, p.lease_until, p.attempt, p.payload
    FROM pgq.pick_jobs(ARRAY['mail'], $1, timeout_milliseconds => $2, durable => $3) AS p`, [most, lease, durable])
}

async function addSome(connection: pg.Client, payloads: readonly unknown[]): Promise<number[]> {
  const rows = await query<{ job_id: number }>(connection, `
    SELECT unnest(pgq.add_jobs('mail', $1::text[]::jsonb[])) AS job_id`, [payloads.map((one) => JSON.stringify(one))])
  return rows.map(({ job_id }) => job_id)
}

/** Releases as complete, with an effect of its own in the same transaction. */
async function release(connection: pg.Client, jobs: readonly Picked[], worker: string): Promise<void> {
  const ids = jobs.map(({ job_id }) => job_id)
  const tokens = jobs.map(({ lease_token }) => lease_token)
  await query(connection, 'BEGIN')
  try {
    await query(connection, `
      INSERT INTO effect (job_id, worker) SELECT e.job_id, $2 FROM unnest($1::bigint[]) AS e (job_id)`, [ids, worker])
    await query(connection, `SELECT pgq.release_jobs($1::bigint[], $2::bigint[], 'complete')`, [ids, tokens])
    await query(connection, 'COMMIT')
  } catch (error) {
    await query(connection, 'ROLLBACK').catch(() => {}) // The connection may be gone: what matters is the first error.
    throw error
  }
}

async function effectsOf(job_id: number): Promise<string[]> {
  const rows = await query<{ worker: string }>(client, 'SELECT e.worker FROM effect AS e WHERE e.job_id = $1', [job_id])
  return rows.map(({ worker }) => worker)
}

async function stateOf(job_id: number): Promise<string | undefined> {
  const [job] = await query<{ state: string }>(client, 'SELECT j.state FROM pgq.get_job($1) AS j', [job_id])
  return job?.state
}

describe('a crash of the server between pick and release', () => {
  let job_id: number

  beforeEach(async () => {
    const [added] = await query<{ job_id: number }>(client, `SELECT a.job_id FROM pgq.add_job('mail', '"hello"') AS a`)
    job_id = added!.job_id
  })

  test('does not take a durable pick away from its worker', async () => {
    const jobs = await pick(client, 1)
    await crash()
    expect(await stateOf(job_id)).toBe('running')
    await release(client, jobs, 'first')
    expect(await effectsOf(job_id)).toEqual(['first'])
  })

  test('may lose a pick that is not durable: the job is ready again, and the old token is refused', async () => {
    const jobs = await pick(client, 1, { durable: false })
    await crash()
    expect(await stateOf(job_id)).toBe('ready')
    expect(await refusal(release(client, jobs, 'first'))).toBe('JQ003')
    expect(await effectsOf(job_id)).toEqual([])

    const [again] = await pick(client, 1)
    expect(again).toMatchObject({ job_id, attempt: 1 })
    expect(again!.lease_token).not.toBe(jobs[0]!.lease_token)
    expect(await refusal(release(client, jobs, 'first'))).toBe('JQ003')
    expect(await refusal(query(client, `
      SELECT FROM pgq.keep_jobs_alive(ARRAY[$1::bigint], ARRAY[$2::bigint])`, [job_id, jobs[0]!.lease_token]))).toBe('JQ003')
    await release(client, [again!], 'second')
    expect(await effectsOf(job_id)).toEqual(['second'])
  })

  test('after which the lease runs out: another picks the job, and the stale release leaves no trace', async () => {
    await query(client, `SELECT pgq.set_queue_config('mail', pause_between_retries_milliseconds => 0)`)
    const jobs = await pick(client, 1, { lease: 100 })
    await crash()
    await sleep(jobs[0]!.lease_until.getTime() - Date.now() + 5)
    const [again] = await pick(client, 1)
    expect(again).toMatchObject({ job_id, attempt: 2 })
    expect(await refusal(release(client, jobs, 'first'))).toBe('JQ003')
    await release(client, [again!], 'second')
    expect(await effectsOf(job_id)).toEqual(['second'])
    expect(await stateOf(job_id)).toBe('complete')
  })

  test('does not undo a release that was acknowledged, nor an add', async () => {
    await release(client, await pick(client, 1), 'first')
    const added = await addSome(client, [1, 2])
    await crash()
    expect(await stateOf(job_id)).toBe('complete')
    expect(await effectsOf(job_id)).toEqual(['first'])
    await release(client, await pick(client, 9), 'second')
    for (const id of added) expect(await effectsOf(id)).toEqual(['second'])
  })
})

/** What the clients were told before the server died. */
interface Told {
  /** Adds, with the numbers that their payloads carry. */
  readonly added: Map<number, number>
  readonly completed: Set<number>
  /** Picks whose release nobody has begun. */
  readonly picked: Map<number, Picked & { readonly durable: boolean }>
}

describe(`${ROUNDS} crashes with work in flight`, () => {
  const seed = chooseSeed()
  const told: Told = { added: new Map(), completed: new Set(), picked: new Map() }
  let payloads = 0
  /** Just before a crash nothing is done but picks that are not durable, so that some are lost. */
  let is_last_moment = false
  /** Picks that the crashes have lost. */
  let lost = 0

  /** Works until the server is gone. */
  async function untilTheEnd(work: (connection: pg.Client) => Promise<void>): Promise<void> {
    const connection = await connect()
    try {
      for (;;) await work(connection)
    } catch (error) {
      // An error of the server that is not about its end is one too many.
      expect(sqlstateOf(error) ?? 'gone').toMatch(/^(gone|57P0.)$/)
    }
  }

  async function add(connection: pg.Client, chance: Chance): Promise<void> {
    if (is_last_moment) {
      await query(connection, 'SELECT 1')
      return sleep(1)
    }
    const numbers = Array.from({ length: chance.oneOf([1, 1, 10, 50]) }, () => ++payloads)
    const ids = await addSome(connection, numbers)
    ids.forEach((id, place) => told.added.set(id, numbers[place]!))
  }

  async function work(connection: pg.Client, chance: Chance, worker: string): Promise<void> {
    const durable = !is_last_moment && chance.happens(0.5)
    const jobs = await pick(connection, chance.oneOf([1, 5, 20]), { durable, lease: chance.oneOf([300, 60_000]) })
    for (const job of jobs) told.picked.set(job.job_id, { ...job, durable })
    if (jobs.length === 0 || is_last_moment || chance.happens(0.05)) {
      await sleep(5)
      return // Forgotten: others will have them when the lease runs out.
    }
    for (const { job_id } of jobs) told.picked.delete(job_id)
    try {
      await release(connection, jobs, worker)
    } catch (error) {
      if (sqlstateOf(error) !== 'JQ003') throw error
      return
    }
    for (const { job_id } of jobs) told.completed.add(job_id)
  }

  test('what was acknowledged is there', async () => {
    console.log(`seed ${seed}`)
    const chance = chanceOf(seed)
    for (let round = 1; round <= ROUNDS; round++) {
      told.picked.clear()
      is_last_moment = false
      const everybody = [
        ...Array.from({ length: ADDERS }, () => chance.fork()).map((own) =>
          untilTheEnd((connection) => add(connection, own))),
        ...Array.from({ length: PICKERS }, () => chance.fork()).map((own, number) =>
          untilTheEnd((connection) => work(connection, own, `worker ${number} of round ${round}`))),
      ]
      await sleep(chance.between(300, 900))
      is_last_moment = true
      await sleep(50)
      await crash()
      await Promise.all(everybody)
      await compare()
    }
    console.log(`${told.added.size} adds and ${told.completed.size} completed jobs acknowledged, ${lost} picks lost`)
    expect(lost).toBeGreaterThan(0)
  })

  /** What the server knows against what the clients were told. */
  async function compare(): Promise<void> {
    const rows = await query<{
      job_id: number, payload: unknown, state: string | null, attempt: number, lease_token: number | null, effects: number
    }>(client, `
      SELECT j.job_id, j.payload, j.finished_as AS state, j.attempt, j.lease_token,
             (SELECT count(*) FROM effect AS e WHERE e.job_id = j.job_id) AS effects
      FROM pgq.every_job AS j`)
    const jobs = new Map(rows.map((row) => [row.job_id, row]))
    expect(jobs.size, 'a job is there once').toBe(rows.length)
    expect([...told.added].filter(([id, payload]) => jobs.get(id)?.payload !== payload), 'lost adds').toEqual([])
    expect([...told.completed].filter((id) => jobs.get(id)?.state !== 'complete'), 'lost releases').toEqual([])
    expect(rows.filter(({ state, effects }) => effects !== (state === null ? 0 : 1)), 'effects').toEqual([])
    for (const pick of told.picked.values()) {
      const job = jobs.get(pick.job_id)!
      if (job.lease_token === pick.lease_token) continue
      // Others may have it since its lease ran out; but if this attempt does not count, the crash has lost the pick.
      if (job.attempt < pick.attempt) {
        expect(pick.durable, `the durable pick of job ${pick.job_id} is lost`).toBe(false)
        lost += 1
      }
      expect(await refusal(release(client, [pick], 'stale')), `the old token of job ${pick.job_id}`).toBe('JQ003')
    }
  }

  test('then every job is finished exactly once', async () => {
    // Leases of the dead are not waited for: the clock is moved.
    await query(client, 'UPDATE pgq.job SET lease_until = now() WHERE lease_token IS NOT NULL')
    await query(client, `SELECT pgq.set_queue_config('mail', pause_between_retries_milliseconds => 0)`)
    for (;;) {
      await query(client, 'RESET ALL') // Watermarks too: each pick begins at the beginning.
      const jobs = await pick(client, 1000)
      if (jobs.length === 0) break
      await release(client, jobs, 'the last')
    }
    const [sum] = await query<Record<'live' | 'complete' | 'dead' | 'effects' | 'twice', number>>(client, `
      SELECT (SELECT count(*) FROM pgq.job) AS live,
             (SELECT count(*) FROM pgq.finished_job AS f WHERE f.state = 'complete') AS complete,
             (SELECT count(*) FROM pgq.finished_job AS f WHERE f.state <> 'complete') AS dead,
             (SELECT count(*) FROM effect) AS effects,
             (SELECT count(*) FROM (SELECT FROM effect AS e GROUP BY e.job_id HAVING count(*) > 1) AS t) AS twice`)
    expect(sum).toMatchObject({ live: 0, dead: 0, twice: 0, effects: sum!.complete })
    expect(await query(client, `SELECT e.job_id FROM effect AS e WHERE e.worker = 'stale'`)).toEqual([])
  })
})
