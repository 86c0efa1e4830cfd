/**
 * A worker that does everything wrong that a worker can: it hangs, fails, forgets, comes too late, undoes what it did,
 * keeps alive what it is releasing. What it does right leaves one row in `effect` for each completed job.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { inTransaction, sqlstateOf, type Picked, type Session } from '../../support/session.ts'
import { QUEUES, count, type Actor, type Payload } from './rules.ts'

type Job = Picked<Payload>
type Result = 'complete' | 'failed' | 'paused' | 'cancelled'

interface Choice {
  readonly result: Result
  readonly delay: number | null
  readonly retry: boolean
}

/** `side` is a second connection of the same worker, as keep-alives have in a real one. */
export async function pick(actor: Actor, side: Session, worker: string): Promise<void> {
  const { arena, chance } = actor
  let held: Job[] = []
  while ((held.length > 0 || !arena.is_over) && !arena.signal.aborted) {
    if (held.length === 0) held = await pickSome(actor, worker)
    if (held.length === 0) {
      await sleep(chance.between(2, 20))
      continue
    }
    if (chance.happens(0.04)) await hang(actor, held)
    if (chance.happens(0.1)) held = await keepAlive(actor, actor.sql, held)
    if (held.length > 0) held = await releaseSome(actor, side, held, worker)
  }
}

async function pickSome({ arena, chance, sql }: Actor, worker: string): Promise<Job[]> {
  const queues = chance.happens(0.3) ? QUEUES.map(({ name }) => name) : chance.someOf(QUEUES.map(({ name }) => name))
  const most = chance.oneOf([1, 1, 2, 5, 10, 10, 50])
  const lease = chance.oneOf([null, 150, 400])
  const pauses = new Map(arena.pauses)
  const began = Date.now()
  async function run(): Promise<Job[]> {
    return sql<Job[]>`
      SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload, p.group_key
      FROM pgq.pick_jobs(${queues}, ${most}, worker => ${worker}, timeout_milliseconds => ${lease},
                         durable => ${chance.happens(0.3)}) AS p`
  }
  if (chance.happens(0.08)) {
    await inTransaction(sql, run, { undo: true })
    count(arena, 'picks undone')
    return []
  }
  const jobs = chance.happens(0.05)
    ? await inTransaction(sql, async () => {
      const picked = await run()
      // Longer than anybody waits for the lock of a limited queue.
      if (picked.length > 0) await sleep(chance.between(60, 150))
      return picked
    })
    : await run()
  check(jobs, { arena, pauses, most, began })
  count(arena, 'jobs picked', jobs.length)
  return jobs
}

/** What a pick promises of each of its jobs. */
function check(
  jobs: readonly Job[],
  { arena, pauses, most, began }: Pick<Actor, 'arena'> & { pauses: Map<string, number>; most: number; began: number },
): void {
  expect(jobs.length).toBeLessThanOrEqual(most)
  for (const { job_id, queue_name, payload, attempt, max_attempts, lease_until } of jobs) {
    const was_paused = (pauses.get(queue_name) ?? 0) % 2 === 1 && pauses.get(queue_name) === arena.pauses.get(queue_name)
    expect(was_paused, `job ${job_id} is picked from a paused queue`).toBe(false)
    expect(Date.now() + 1, `job ${job_id} is picked before its time`).toBeGreaterThanOrEqual(payload.due ?? 0)
    expect(attempt, `job ${job_id} has an attempt too many`).toBeLessThanOrEqual(max_attempts)
    expect(lease_until.getTime(), `the lease of job ${job_id} is born expired`).toBeGreaterThan(began)
  }
}

/** Lets the leases run out, for others to take the jobs. */
async function hang({ arena }: Actor, held: readonly Job[]): Promise<void> {
  count(arena, 'leases left to run out', held.length)
  const until = Math.max(...held.map(({ lease_until }) => lease_until.getTime()))
  await sleep(Math.max(until - Date.now(), 0) + 60)
}

/** Keeps all alive, and returns those that are still held. */
async function keepAlive({ arena }: Actor, sql: Session, held: readonly Job[]): Promise<Job[]> {
  const leases = await sql<{ job_id: number; state: string; lease_until: Date | null }[]>`
    SELECT k.job_id, k.state, k.lease_until
    FROM pgq.keep_jobs_alive(${held.map(({ job_id }) => job_id)}::bigint[],
                             ${held.map(({ lease_token }) => lease_token)}::bigint[], skip_lost => true) AS k`
  count(arena, 'keep-alives')
  return held.flatMap((job, place) => {
    const lease = leases[place]!
    if (lease.state !== 'running') {
      allowLoss(arena, job)
      return []
    }
    return [{ ...job, lease_until: lease.lease_until! }]
  })
}

/** Releases some of the jobs with one result, and returns what is held then. */
async function releaseSome(actor: Actor, side: Session, held: readonly Job[], worker: string): Promise<Job[]> {
  const { arena, chance, sql } = actor
  const jobs = chance.happens(0.6) ? held : chance.someOf(held)
  const rest = held.filter((job) => !jobs.includes(job))
  const choice = chooseResult(chance)
  const undo = chance.happens(0.05)
  const next_queues = chance.happens(0.3) ? chance.someOf(QUEUES.map(({ name }) => name)) : null

  const keeping = chance.happens(0.1) ? keepQuietly(side, jobs) : undefined
  keeping?.catch(() => {}) // It is waited for below, perhaps later than it fails.
  try {
    const next = await inTransaction(sql, async () => {
      if (choice.result === 'complete') {
        await sql`
          INSERT INTO effect (job_id, attempt, worker)
          SELECT e.job_id, e.attempt, ${worker}
          FROM unnest(${jobs.map(({ job_id }) => job_id)}::bigint[], ${jobs.map(({ attempt }) => attempt)}::integer[])
              AS e (job_id, attempt)`
      }
      return release(actor, jobs, choice, next_queues)
    }, { undo })
    if (undo) {
      count(arena, 'releases undone')
      return [...held]
    }
    count(arena, `jobs released as ${choice.result}`, jobs.length)
    if (choice.result === 'complete' || choice.result === 'cancelled') {
      for (const { job_id } of jobs) arena.released.set(job_id, choice.result)
    }
    return [...rest, ...next]
  } catch (error) {
    if (sqlstateOf(error) !== 'JQ003') throw error
    // One lost lease has undone the release of all: find out which, and go on with the others.
    count(arena, 'releases refused')
    const still = await keepAlive(actor, sql, held)
    const lost = jobs.filter((job) => !still.some(({ job_id }) => job_id === job.job_id))
    expect(lost, 'a release is refused although no lease is lost').not.toHaveLength(0)
    return still
  } finally {
    await keeping
  }
}

/** A keep-alive that comes while its jobs are being released: it must neither fail nor deadlock. */
async function keepQuietly(side: Session, jobs: readonly Job[]): Promise<void> {
  await side`
    SELECT k.state
    FROM pgq.keep_jobs_alive(${jobs.map(({ job_id }) => job_id)}::bigint[],
                             ${jobs.map(({ lease_token }) => lease_token)}::bigint[], skip_lost => true) AS k`
}

async function release(
  { chance, sql }: Actor, jobs: readonly Job[], { result, delay, retry }: Choice, next_queues: string[] | null,
): Promise<Job[]> {
  const ids = jobs.map(({ job_id }) => job_id)
  const tokens = jobs.map(({ lease_token }) => lease_token)
  const errors = result === 'failed' ? jobs.map(() => 'out of luck') : null
  if (next_queues) {
    return sql<Job[]>`
      SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload, p.group_key
      FROM pgq.release_and_pick(${ids}::bigint[], ${tokens}::bigint[], ${result}, ${next_queues}, ${chance.between(1, 10)},
                                errors => ${errors}::text[], delay_milliseconds => ${delay}, retry => ${retry}) AS p`
  }
  if (jobs.length === 1) {
    await sql`
      SELECT pgq.release_job(${ids[0]!}, ${result}, ${tokens[0]!}, error => ${errors?.[0] ?? null},
                             delay_milliseconds => ${delay}, retry => ${retry})`
  } else {
    await sql`
      SELECT pgq.release_jobs(${ids}::bigint[], ${tokens}::bigint[], ${result}, errors => ${errors}::text[],
                              delay_milliseconds => ${delay}, retry => ${retry})`
  }
  return []
}

function chooseResult(chance: Actor['chance']): Choice {
  if (chance.happens(0.75)) return { result: 'complete', delay: null, retry: true }
  const result = chance.oneOf<Result>(['failed', 'failed', 'failed', 'paused', 'cancelled'])
  const can_wait = result === 'failed' || result === 'paused'
  return {
    result,
    delay: can_wait && chance.happens(0.3) ? chance.between(0, 50) : null,
    retry: result !== 'failed' || chance.happens(0.9),
  }
}

/** A lease is lost only when it has run out, or its job was cancelled. */
function allowLoss(arena: Actor['arena'], { job_id, lease_until }: Job): void {
  count(arena, 'leases lost')
  if (arena.maybe_cancelled.has(job_id)) return
  expect(Date.now() + 1, `the lease of job ${job_id} is lost before its time`).toBeGreaterThanOrEqual(lease_until.getTime())
}
