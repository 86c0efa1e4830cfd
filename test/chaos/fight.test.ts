/**
 * Eight pickers and four adders fight over 20 000 jobs of four queues, while others cancel, pause and clean up.
 * PGQ_TEST_SEED=… repeats the choices of a run (not the pace, so a failure may need some tries).
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { keepJobLog } from '../support/job-log.ts'
import { chanceOf, chooseSeed } from '../support/random.ts'
import { openSession, type Session } from '../support/session.ts'
import { add } from './fight/adder.ts'
import { meddle } from './fight/meddler.ts'
import { pick } from './fight/picker.ts'
import { review, watch } from './fight/referee.ts'
import { ADDERS, MEDDLERS, PICKERS, QUEUES, type Actor, type Arena } from './fight/rules.ts'

describe('a fight over 20 000 jobs', () => {
  const seed = chooseSeed()
  const stop = new AbortController()
  let cluster: Cluster
  let sql: Session
  let arena: Arena
  /** Everybody's first error. */
  const errors: unknown[] = []

  beforeAll(async () => {
    cluster = await startCluster({ settings: { wal_level: 'logical' } })
    cluster.psql(`
      CREATE EXTENSION pgq;
      CREATE TABLE effect (job_id bigint NOT NULL, attempt integer NOT NULL, worker text NOT NULL);
      CREATE INDEX ON effect (job_id);`)
    sql = openSession(cluster.url)
    for (const { name, limit = 0, group_limit = 0, is_strict = false } of QUEUES) {
      await sql`
        SELECT pgq.set_queue_config(
            ${name}, max_concurrency => ${limit}, max_concurrency_per_group => ${group_limit},
            group_order => ${is_strict ? 'strict' : 'loose'}, max_attempts => 6, timeout_milliseconds => 250,
            pause_between_retries_milliseconds => 5, max_pause_between_retries_milliseconds => 50)`
    }
    await keepJobLog(sql)
    arena = {
      url: cluster.url, signal: stop.signal, added: new Map(), maybe_cancelled: new Set(), retried: new Set(),
      released: new Map(), pauses: new Map(), pausing: new Set(), tally: new Map(), adders_left: ADDERS, is_ending: false,
      meddlers_left: MEDDLERS, is_over: false,
    }
    console.log(`seed ${seed}`)
    await fight()
  }, 200_000)

  afterAll(async () => {
    await sql?.end()
    await cluster?.[Symbol.asyncDispose]()
  })

  async function fight(): Promise<void> {
    const chance = chanceOf(seed)
    const sessions: Session[] = []
    const open = (): Session => {
      const session = openSession(arena.url)
      sessions.push(session)
      return session
    }
    const actor = (): Actor => ({ arena, chance: chance.fork(), sql: open() })
    const late = setTimeout(() => stop.abort(new Error('the fight does not end')), 180_000)
    const began = Date.now()
    const everybody = [
      ...Array.from({ length: ADDERS }, (_, number) => add(actor(), number)),
      ...Array.from({ length: PICKERS }, (_, number) => pick(actor(), open(), `picker ${number}`)),
      ...Array.from({ length: MEDDLERS }, () => meddle(actor())),
      watch(actor()),
    ]
    await Promise.all(everybody.map((one) => one.catch((error: unknown) => {
      errors.push(error)
      stop.abort()
    })))
    clearTimeout(late)
    if (!arena.is_over && errors.length === 0) errors.push(stop.signal.reason)
    await Promise.all(sessions.map((session) => session.end()))
    console.log(`${Date.now() - began} ms`, Object.fromEntries([...arena.tally].sort()))
  }

  test('nobody meets an error that is not foreseen', () => {
    expect(errors).toEqual([])
    expect(arena.added.size).toBe(20_000)
  })

  test('each job ends exactly once', async () => {
    const rows = await sql<{ job_id: number; state: string; effects: number }[]>`
      SELECT f.job_id, f.state, (SELECT count(*) FROM effect AS e WHERE e.job_id = f.job_id)::integer AS effects
      FROM pgq.finished_job AS f`
    const ended = new Map(rows.map(({ job_id, ...row }) => [job_id, row]))
    expect(rows.length, 'a job stands once in the history').toBe(ended.size)
    expect([...arena.added.keys()].filter((id) => !ended.has(id)), 'lost').toEqual([])
    expect([...ended.keys()].filter((id) => !arena.added.has(id)), 'nobody has added these').toEqual([])
    expect(rows.filter(({ state, effects }) => effects !== (state === 'complete' ? 1 : 0)), 'effects').toEqual([])
    const changed = [...arena.released].filter(([id, state]) => !arena.retried.has(id) && ended.get(id)?.state !== state)
    expect(changed, 'a release that was committed stands').toEqual([])
  })

  test('nothing is left behind', async () => {
    const [left] = await sql`
      SELECT (SELECT count(*) FROM pgq.job) AS jobs, (SELECT count(*) FROM pgq.running_job) AS running,
             (SELECT count(*) FROM pgq.unique_key AS k WHERE k.holds_until IS NULL) AS keys`
    const stats = await sql`
      SELECT s.queue_name, s.ready, s.scheduled, s.running, s.held, s.oldest_ready_milliseconds FROM pgq.queue_stats() AS s`
    expect(left, JSON.stringify(stats)).toEqual({ jobs: 0, running: 0, keys: 0 })
  })

  test('no limit is exceeded at any instant, and strict groups keep their order', async () => {
    const most = await review(sql, arena)
    console.log('at most', most)
    for (const { name, limit, group_limit } of QUEUES) {
      if (limit !== undefined) expect(most[`running in ${name}`]).toBe(limit)
      if (group_limit === undefined) continue
      expect(most[`running in a group of ${name}`]).toBe(group_limit)
      expect(most[`in line of a group of ${name}`]).toBe(group_limit)
    }
  })
})
