/**
 * Pickers, signallers and cancellers fight over 2000 runs with children, of a queue with groups.
 * PGQ_TEST_SEED=… repeats the choices of a run (not the pace, so a failure may need some tries).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { chanceOf, chooseSeed } from '../support/random.ts'
import { openSession, type Session } from '../support/session.ts'
import { add, cancel, signal } from './run-fight/others.ts'
import { pick } from './run-fight/picker.ts'
import { CANCELLERS, CHILD_QUEUE, PICKERS, QUEUE, RUNS, SIGNALLERS, STEPS, WORKFLOW, type Actor, type Arena } from './run-fight/rules.ts'

/** On a machine that has much else to do; alone on two cores it takes about half a minute. */
const LONGEST_FIGHT_MILLISECONDS = 600_000

describe(`a fight over ${RUNS} runs`, () => {
  const seed = chooseSeed()
  const stop = new AbortController()
  /** Everybody's first error. */
  const errors: unknown[] = []
  let cluster: Cluster
  let sql: Session
  let arena: Arena

  beforeAll(async () => {
    cluster = await startCluster()
    cluster.psql(`
      CREATE EXTENSION pgq;
      CREATE TABLE effect (job_id bigint, step text, PRIMARY KEY (job_id, step));`)
    sql = openSession(cluster.url)
    for (const [queue, group_limit] of [[QUEUE, 3], [CHILD_QUEUE, 0]] as const) {
      await sql`
        SELECT pgq.set_queue_config(
            ${queue}, max_concurrency_per_group => ${group_limit}, max_attempts => 50, timeout_milliseconds => 400,
            pause_between_retries_milliseconds => 2, max_pause_between_retries_milliseconds => 20)`
    }
    for (const [workflow, steps] of Object.entries(STEPS)) {
      await sql`SELECT pgq.define_workflow(${QUEUE}, ${workflow}, 1, ${JSON.stringify(steps.map((id) => ({ id })))}::text::jsonb)`
    }
    arena = {
      url: cluster.url, signal: stop.signal, runs: new Map(), signalled: new Set(), maybe_cancelled: new Set(), tally: new Map(), is_over: false,
    }
    console.log(`seed ${seed}`)
    await fight()
  }, LONGEST_FIGHT_MILLISECONDS + 60_000)

  afterAll(async () => {
    await sql?.end()
    await cluster?.[Symbol.asyncDispose]()
  })

  async function fight(): Promise<void> {
    const chance = chanceOf(seed)
    const sessions: Session[] = []
    const actor = (): Actor => {
      const session = openSession(arena.url)
      sessions.push(session)
      return { arena, chance: chance.fork(), sql: session }
    }
    const late = setTimeout(() => stop.abort(new Error('the fight does not end')), LONGEST_FIGHT_MILLISECONDS)
    const began = Date.now()
    const everybody = [
      add(actor()),
      ...Array.from({ length: PICKERS }, () => pick(actor())),
      ...Array.from({ length: SIGNALLERS }, () => signal(actor())),
      ...Array.from({ length: CANCELLERS }, () => cancel(actor())),
      watch(),
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

  async function watch(): Promise<void> {
    while (!arena.is_over && !stop.signal.aborted) {
      const all_added = arena.runs.size === RUNS
      const left = await sql`SELECT FROM pgq.job LIMIT 1`
      arena.is_over = all_added && left.length === 0
      await sleep(50)
    }
  }

  test('nobody meets an error that is not foreseen: no deadlock, and no step is done twice', async () => {
    const left = await sql`
      SELECT j.job_id, j.step, j.held_by, j.attempt, j.lease_until, j.start_after, j.group_key FROM pgq.job AS j ORDER BY j.job_id LIMIT 5`
    expect(errors, JSON.stringify(left)).toEqual([])
  })

  test('no run is lost, and each has done all its steps, unless it was cancelled or its children have failed', async () => {
    const ended = await sql<{ job_id: number; state: string; error: string | null; steps: number }[]>`
      SELECT f.job_id, f.state, f.error, (SELECT count(*) FROM effect AS e WHERE e.job_id = f.job_id)::integer AS steps
      FROM pgq.finished_job AS f WHERE f.workflow = ${WORKFLOW} AND f.parent_job_id IS NULL ORDER BY f.job_id`
    expect(ended.map(({ job_id }) => job_id)).toEqual([...arena.runs.keys()].sort((a, b) => a - b))
    const wrong = ended.filter(({ job_id, state, error, steps }) => {
      switch (state) {
        case 'complete': return steps !== STEPS[WORKFLOW]!.length
        case 'cancelled': return !arena.maybe_cancelled.has(job_id)
        default: return !/children did not complete/.test(error ?? '')
      }
    })
    expect(wrong).toEqual([])
    const states = Object.fromEntries(['complete', 'cancelled', 'dead'].map((state) => [state, ended.filter((run) => run.state === state).length]))
    console.log(states)
    expect(states['complete']).toBeGreaterThan(RUNS / 2)
    expect(states['cancelled']).toBeGreaterThan(0)
  })

  test('every child ends once', async () => {
    const [sums] = await sql`
      SELECT count(*)::integer AS children, count(DISTINCT f.job_id)::integer AS distinct_children
      FROM pgq.finished_job AS f WHERE f.parent_job_id IS NOT NULL`
    expect(sums!['children']).toBe(sums!['distinct_children'])
    expect(sums!['children']).toBeGreaterThan(RUNS)
  })

  test('nothing is left behind', async () => {
    await sql`SELECT pgq.maintain()`
    // Hints of time limits that came to nothing go when their time is over; that is soon.
    await sql`SELECT pg_sleep(0.5)`
    await sql`RESET ALL`
    await sql`SELECT FROM pgq.pick_jobs(ARRAY[${QUEUE}], 1000)`
    const [left] = await sql`
      SELECT (SELECT count(*) FROM pgq.job) AS jobs, (SELECT count(*) FROM pgq.run_wait) AS waits,
             (SELECT count(*) FROM pgq.child_result) AS results, (SELECT count(*) FROM pgq.run_signal) AS signals,
             (SELECT count(*) FROM pgq.run_memory) AS memories, (SELECT count(*) FROM pgq.run_hint) AS run_hints,
             (SELECT count(*) FROM pgq.group_hint AS h WHERE h.due_at <= now()) AS group_hints`
    expect(left).toEqual({ jobs: 0, waits: 0, results: 0, signals: 0, memories: 0, run_hints: 0, group_hints: 0 })
  })
})
