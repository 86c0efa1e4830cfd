/**
 * A worker of runs and of their children that does much wrong: it hangs, fails, undoes, comes too late with a stale token.
 * What it finishes leaves one row in `effect`, whose key lets nobody do a step twice.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { inTransaction, sqlstateOf, type Picked } from '../../support/session.ts'
import { CHILD_QUEUE, CHILD_WORKFLOW, count, QUEUE, SIGNAL, type Actor, type Payload } from './rules.ts'

interface Run extends Picked<Payload> {
  readonly workflow: string | null
  readonly step: string | null
}

interface StepState {
  readonly job_id: number
  readonly outputs: Readonly<Record<string, unknown>>
  readonly children: readonly { readonly state: string }[] | null
  readonly signal: { readonly payload: unknown } | null
}

export async function pick(actor: Actor): Promise<void> {
  const { arena, chance, sql } = actor
  while (!arena.is_over && !arena.signal.aborted) {
    const queues = chance.oneOf([[QUEUE], [CHILD_QUEUE], [QUEUE, CHILD_QUEUE], [CHILD_QUEUE, QUEUE]])
    const held = await sql<Run[]>`
      SELECT p.job_id, p.lease_token, p.lease_until, p.attempt, p.payload, p.workflow, p.step
      FROM pgq.pick_jobs(${queues}, ${chance.oneOf([1, 1, 3, 10, 40])}, durable => ${chance.happens(0.3)}) AS p`
    count(arena, 'picked', held.length)
    if (held.length === 0) await sleep(chance.between(1, 10))
    else await release(actor, held)
  }
}

/** Runs by finish_steps or finish_step, or as any job is released; plain children by release_jobs. */
async function release(actor: Actor, held: readonly Run[]): Promise<void> {
  const { arena, chance, sql } = actor
  const states = await sql<StepState[]>`
    SELECT s.job_id, s.outputs, s.children, s.signal FROM pgq.get_steps(${held.map(({ job_id }) => job_id)}::bigint[]) AS s`
  for (const state of states) check(held.find(({ job_id }) => job_id === state.job_id)!, state)
  if (chance.happens(0.03)) await hang(actor, held)
  if (chance.happens(0.05)) return fail(actor, held)
  const undo = chance.happens(0.05)
  const runs = held.filter(({ workflow }) => workflow !== null)
  const jobs = held.filter(({ workflow }) => workflow === null)
  try {
    await inTransaction(sql, async () => {
      if (runs.length > 0) await finish(actor, runs)
      if (jobs.length > 0) await releaseAs(actor, jobs, 'complete')
      await sql`
        INSERT INTO effect (job_id, step)
        SELECT e.job_id, e.step FROM unnest(${held.map(({ job_id }) => job_id)}::bigint[], ${held.map(({ step }) => step ?? 'job')}::text[]) AS e (job_id, step)`
      if (chance.happens(0.1)) await sleep(chance.between(1, 30))
    }, { undo })
    count(arena, undo ? 'finishes undone' : 'finished', undo ? 1 : held.length)
  } catch (error) {
    if (sqlstateOf(error) !== 'JQ003') throw error
    // What was finished with it is undone. The leases that are still held run out.
    count(arena, 'finishes refused')
  }
}

async function finish({ chance, sql }: Actor, runs: readonly Run[]): Promise<void> {
  const steps = runs.map((run) => ({ job_id: run.job_id, lease_token: run.lease_token, output: { of: run.job_id, step: run.step }, next: nextOf(run, chance) }))
  if (runs.length === 1 && chance.happens(0.5)) {
    const [{ job_id, lease_token, output, next }] = steps as [(typeof steps)[number]]
    await sql`
      SELECT pgq.finish_step(${job_id}, ${lease_token}, ${JSON.stringify(output)}::text::jsonb, ${next && JSON.stringify(next)}::text::jsonb)`
  } else {
    await sql`SELECT f.state FROM pgq.finish_steps(${JSON.stringify(steps)}::text::jsonb) AS f`
  }
}

function nextOf({ workflow, step, payload }: Run, chance: Actor['chance']): object | null {
  if (workflow === CHILD_WORKFLOW) return step === 'one' && chance.happens(0.2) ? { delay_milliseconds: chance.between(0, 30) } : null
  if (step === 'begin') {
    const children = Array.from({ length: payload.children }, (_, place) => (
      place < payload.child_runs ? { payload, workflow: CHILD_WORKFLOW } : { payload, queue_name: CHILD_QUEUE, max_attempts: 2 }
    ))
    return { children, failed_children: payload.failed_children }
  }
  return step === 'gather' ? { signal: SIGNAL, ...(chance.happens(0.2) && { timeout_milliseconds: chance.between(1, 400) }) } : null
}

/** What a step is told is of its own run. */
function check({ job_id, workflow, step, payload }: Run, { outputs, children, signal }: StepState): void {
  for (const [of_step, output] of Object.entries(outputs)) expect(output, `output of run ${job_id}`).toEqual({ of: job_id, step: of_step })
  if (workflow === CHILD_WORKFLOW) return
  if (step === 'gather') expect(children, `children of run ${job_id}`).toHaveLength(payload.children)
  else expect(children, `children of run ${job_id} at step ${step}`).toBeNull()
  if (step === 'ask' && signal !== null) expect(signal.payload).toBe(job_id)
  else expect(signal, `signal of run ${job_id} at step ${step}`).toBeNull()
}

/** Until about the time when the leases run out and others take the jobs. */
async function hang({ chance }: Actor, held: readonly Run[]): Promise<void> {
  const until = Math.max(...held.map(({ lease_until }) => lease_until.getTime()))
  await sleep(Math.max(until - Date.now() + chance.between(-5, 30), 0))
}

async function fail(actor: Actor, held: readonly Run[]): Promise<void> {
  try {
    await releaseAs(actor, held, actor.chance.oneOf(['failed', 'paused']))
    count(actor.arena, 'attempts failed', held.length)
  } catch (error) {
    if (sqlstateOf(error) !== 'JQ003') throw error
    count(actor.arena, 'releases refused')
  }
}

async function releaseAs({ sql }: Actor, held: readonly Run[], result: string): Promise<void> {
  await sql`
    SELECT pgq.release_jobs(${held.map(({ job_id }) => job_id)}::bigint[], ${held.map(({ lease_token }) => lease_token)}::bigint[], ${result})`
}
