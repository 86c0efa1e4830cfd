/** Who is neither adder nor picker and interferes: cancels, retries, reschedules, pauses, cleans up, asks for numbers. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { refusal } from '../../support/session.ts'
import { QUEUES, count, type Actor } from './rules.ts'

export async function meddle(actor: Actor): Promise<void> {
  const { arena, chance } = actor
  while (!arena.is_ending && !arena.signal.aborted) {
    const act = chance.oneOf([cancel, cancel, cancel, retry, reschedule, pause, maintain, look])
    await act(actor)
    await sleep(chance.between(1, 20))
  }
  arena.meddlers_left -= 1
}

async function cancel({ arena, chance, sql }: Actor): Promise<void> {
  // The youngest are the ones that have not ended yet.
  const ids = [...arena.added.keys()].slice(-2000)
  if (ids.length === 0) return
  const id = chance.oneOf(ids)
  arena.maybe_cancelled.add(id)
  const refused = await refusal(sql`SELECT pgq.cancel_job(${id}, 'because we can')`)
  expect([undefined, 'JQ004']).toContain(refused)
  count(arena, refused === undefined ? 'jobs cancelled' : 'cancels refused')
}

/** Brings an ended job back. Not in the strict queue, where it would come before jobs that were added after it. */
async function retry({ arena, chance, sql }: Actor): Promise<void> {
  const rows = await sql<{ job_id: number; queue_name: string }[]>`
    SELECT j.job_id, j.queue_name
    FROM pgq.list_jobs(${chance.oneOf(['plain', 'loose', 'limited'])}, ${chance.oneOf(['dead', 'cancelled'])}, max_jobs => 20) AS j`
  const ids = rows.map(({ job_id }) => job_id).filter((id) => arena.added.has(id))
  if (ids.length === 0) return
  const id = chance.oneOf(ids)
  arena.retried.add(id)
  const refused = await refusal(sql`SELECT pgq.retry_job(${id})`)
  expect([undefined, '23505', 'JQ004']).toContain(refused)
  count(arena, refused === undefined ? 'jobs retried' : 'retries refused')
}

async function reschedule({ arena, chance, sql }: Actor): Promise<void> {
  const ids = [...arena.added].slice(-2000).flatMap(([id, { queue, payload }]) =>
    (queue.is_strict || payload.due !== undefined ? [] : [id]))
  if (ids.length === 0) return
  const when = new Date(Date.now() + chance.between(-100, 300))
  const refused = await refusal(sql`SELECT pgq.reschedule_job(${chance.oneOf(ids)}, ${when})`)
  expect([undefined, 'JQ004']).toContain(refused)
  count(arena, refused === undefined ? 'jobs rescheduled' : 'reschedules refused')
}

async function pause({ arena, chance, sql }: Actor): Promise<void> {
  const { name } = chance.oneOf(QUEUES)
  const turn = (): unknown => arena.pauses.set(name, (arena.pauses.get(name) ?? 0) + 1)
  // Another's pause would end with ours.
  if (arena.pausing.has(name)) return
  arena.pausing.add(name)
  await sql`SELECT pgq.pause_queue(${name}, reason => 'a fight')`
  turn()
  await sleep(chance.between(10, 100))
  turn()
  await sql`SELECT pgq.resume_queue(${name})`
  arena.pausing.delete(name)
  count(arena, 'pauses')
}

async function maintain({ arena, sql }: Actor): Promise<void> {
  await sql`SELECT pgq.maintain()`
  count(arena, 'housekeepings')
}

async function look({ sql }: Actor): Promise<void> {
  await sql`SELECT s.queue_name FROM pgq.queue_stats() AS s`
}
