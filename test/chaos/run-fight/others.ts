/** Who adds runs, signals them and cancels them while others work. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { inTransaction, json, refusal } from '../../support/session.ts'
import { count, MOST_CANCELLED, QUEUE, RUNS, SIGNAL, WORKFLOW, type Actor, type Payload } from './rules.ts'

/** Adds all runs, in batches. */
export async function add({ arena, chance, sql }: Actor): Promise<void> {
  while (arena.runs.size < RUNS && !arena.signal.aborted) {
    const payloads = Array.from({ length: Math.min(chance.between(1, 60), RUNS - arena.runs.size) }, (): Payload => {
      const children = chance.oneOf([0, 1, 2, 5, 12])
      return {
        children, child_runs: chance.between(0, children), failed_children: chance.oneOf(['fail', 'ignore']),
        group: chance.happens(0.3) ? `group ${chance.between(1, 5)}` : null,
      }
    })
    const [{ ids }] = await sql<[{ ids: number[] }]>`
      SELECT pgq.add_jobs(${QUEUE}, ${json(payloads)}::text[]::jsonb[], group_keys => ${payloads.map(({ group }) => group)}::text[],
                          workflow => ${WORKFLOW}) AS ids`
    ids.forEach((id, place) => arena.runs.set(id, payloads[place]!))
    await sleep(chance.between(1, 60))
  }
}

/** Signals its share of the runs: some as soon as they are there, others later, and some twice at once with somebody else. */
export async function signal({ arena, chance, sql }: Actor): Promise<void> {
  while (!arena.is_over && !arena.signal.aborted) {
    const open = [...arena.runs.keys()].filter((id) => !arena.signalled.has(id))
    if (open.length === 0) {
      await sleep(5)
      continue
    }
    const ids = chance.someOf(open.slice(0, 20)).concat(chance.oneOf(open))
    const undo = chance.happens(0.05)
    await inTransaction(sql, async () => {
      for (const id of ids) {
        await sql`SAVEPOINT one`
        const refused = await refusal(sql`SELECT pgq.signal_job(${id}, ${SIGNAL}, to_jsonb(${id}::bigint))`)
        if (refused !== undefined) await sql`ROLLBACK TO SAVEPOINT one`
        expect([undefined, 'JQ004']).toContain(refused)
      }
    }, { undo })
    if (!undo) for (const id of ids) arena.signalled.add(id)
    count(arena, undo ? 'signals undone' : 'signals', ids.length)
    await sleep(chance.between(1, 30))
  }
}

/** Cancels some runs wherever they stand, with the others' locks on them and their children. */
export async function cancel({ arena, chance, sql }: Actor): Promise<void> {
  while (!arena.is_over && !arena.signal.aborted && arena.maybe_cancelled.size < MOST_CANCELLED) {
    await sleep(chance.between(5, 40))
    const ids = [...arena.runs.keys()].slice(-400)
    if (ids.length === 0) continue
    const id = chance.oneOf(ids)
    arena.maybe_cancelled.add(id)
    const refused = await refusal(sql`SELECT pgq.cancel_job(${id})`)
    expect([undefined, 'JQ004']).toContain(refused)
    count(arena, refused === undefined ? 'cancelled' : 'cancels refused')
  }
}
