/**
 * A session that holds an old snapshot (a dump, an analyst) keeps the rows of all finished jobs from being cleaned away.
 * Picks must not read that graveyard again and again, and must not lose what is in it: see 05-watermark.sql.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buffersOf, quantile } from '../support/buffers.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { openSession, type Session } from '../support/session.ts'

const BATCHES = 600
const BATCH = 100

describe('while a session holds an old snapshot', () => {
  let cluster: Cluster
  let analyst: Session
  let sql: Session
  /** Somebody whose add is not committed yet. */
  let late: Session
  /** Buffers that each pick has read. */
  const buffers: number[] = []
  /** Milliseconds that the slowest pick has taken: the scan from the beginning among them. */
  let slowest = 0
  const picked = new Set<number>()
  let late_jobs: number[]
  let hung_jobs: number[]

  async function pick(most: number): Promise<number[]> {
    const began = performance.now()
    buffers.push(await buffersOf(sql, `
      INSERT INTO mine SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['mail'], ${most}) AS p`))
    slowest = Math.max(slowest, performance.now() - began)
    const ids = (await sql<{ job_id: number }[]>`SELECT m.job_id FROM mine AS m`).map(({ job_id }) => job_id)
    for (const id of ids) picked.add(id)
    if (ids.length > 0) {
      await sql`SELECT pgq.release_jobs(array_agg(m.job_id), array_agg(m.lease_token), 'complete') FROM mine AS m`
      await sql`TRUNCATE mine`
    }
    return ids
  }

  /** Somebody else picks and hangs: the jobs can be picked anew when their lease has run out. */
  async function hang(lease_milliseconds: number): Promise<number[]> {
    const hung = await late<{ job_id: number }[]>`
      SELECT p.job_id FROM pgq.pick_jobs(ARRAY['mail'], 3, timeout_milliseconds => ${lease_milliseconds}) AS p`
    expect(hung).toHaveLength(3)
    return hung.map(({ job_id }) => job_id)
  }

  async function addSome(count: number): Promise<void> {
    await sql`SELECT pgq.add_jobs('mail', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, ${count}::integer) AS i))`
  }

  /** Polls until all these jobs are picked, beside a steady stream of younger ones, for as long as it may take. */
  async function pollFor(jobs: readonly number[], { from = performance.now() } = {}): Promise<void> {
    let is_late = false
    while (!is_late && !jobs.every((id) => picked.has(id))) {
      // The next scan from the beginning comes after ten times the time that the last one took, and takes as long again.
      is_late = performance.now() > from + 11 * slowest + 1000
      await addSome(BATCH)
      await pick(BATCH)
    }
    expect(jobs.filter((id) => !picked.has(id)), 'not picked in time').toEqual([])
  }

  beforeAll(async () => {
    cluster = await startCluster()
    cluster.psql('CREATE EXTENSION pgq')
    analyst = openSession(cluster.url)
    sql = openSession(cluster.url)
    late = openSession(cluster.url)
    await sql`SELECT pgq.set_queue_config('mail', pause_between_retries_milliseconds => 0)`
    await sql`CREATE TEMPORARY TABLE mine (job_id bigint, lease_token bigint)`
    await analyst`BEGIN ISOLATION LEVEL REPEATABLE READ`
    await analyst`SELECT count(*) FROM pgq.job`

    for (let batch = 0; batch < BATCHES; batch++) {
      await addSome(BATCH)
      if (batch === 100) {
        hung_jobs = await hang(200)
        await late`BEGIN`
        const [row] = await late<[{ ids: number[] }]>`SELECT pgq.add_jobs('mail', ARRAY['"late"', '"too"']::jsonb[]) AS ids`
        late_jobs = row.ids
      }
      await pick(BATCH)
    }
  })

  afterAll(async () => {
    await Promise.all([analyst, sql, late].map((session) => session?.end()))
    await cluster?.[Symbol.asyncDispose]()
  })

  test('a pick does not read the graveyard again and again', async () => {
    const graveyard = BATCHES * BATCH
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
    const last = buffers.slice(-100)
    console.log(`${graveyard} dead jobs, picks of ${BATCH}, buffers each: median of the first 100 ${
      quantile(buffers.slice(0, 100), 0.5)}, of the last 100 ${quantile(last, 0.5)} (mean ${mean(last)}, most ${
      quantile(last, 1)})`)
    expect(mean(last)).toBeLessThan(graveyard / 20)

    const singles = buffers.length
    for (let i = 0; i < 200; i++) {
      await addSome(1)
      await pick(1)
    }
    const polls = buffers.length
    for (let i = 0; i < 200; i++) await pick(BATCH)
    for (const [what, some] of [['single picks', buffers.slice(singles, polls)], ['empty picks', buffers.slice(polls)]] as const) {
      console.log(`${what}: median ${quantile(some, 0.5)}, 9 of 10 ${quantile(some, 0.9)}, most ${quantile(some, 1)}`)
      expect(quantile(some, 0.5), what).toBeLessThan(100)
    }
  })

  test('a job that is committed late is picked within ten times the time of a scan from the beginning', async () => {
    await late`COMMIT`
    await pollFor(late_jobs)
  })

  test('a lease that runs out behind the mark is picked anew within the same time', async () => {
    // These ran out in the midst of the churn.
    expect(hung_jobs.filter((id) => !picked.has(id))).toEqual([])

    await addSome(3)
    const hung = await hang(300)
    await pollFor(hung, { from: performance.now() + 300 })
  })

  test('no job is lost', async () => {
    await sql`RESET ALL` // Watermarks too: the first pick begins at the beginning.
    while ((await pick(BATCH)).length > 0);
    const [jobs] = await sql<[{ live: number; complete: number; added: number }]>`
      SELECT (SELECT count(*) FROM pgq.job) AS live, (SELECT last_value FROM pgq.job_job_id_seq) AS added,
             (SELECT count(*) FROM pgq.finished_job AS f WHERE f.state = 'complete') AS complete`
    expect(jobs).toEqual({ live: 0, complete: jobs.added, added: jobs.added })
  })
})
