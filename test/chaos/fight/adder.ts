/** Adds its share of each queue's jobs: one by one and in batches, at once and later, with keys and without. */
import { setTimeout as sleep } from 'node:timers/promises'
import { inTransaction, json } from '../../support/session.ts'
import { ADDERS, QUEUES, count, type Actor, type Payload, type Queue } from './rules.ts'

export async function add(actor: Actor, adder: number): Promise<void> {
  const { arena, chance } = actor
  const left = new Map(QUEUES.map((queue) => [queue, queue.jobs / ADDERS]))
  const places = new Map<string, number>()
  while (left.size > 0 && !arena.signal.aborted) {
    const queue = chance.oneOf([...left.keys()])
    const wanted = Math.min(left.get(queue)!, chance.happens(0.3) ? 1 : chance.between(2, 60))
    const added = await addSome(actor, adder, queue, wanted, places)
    const rest = left.get(queue)! - added
    if (rest > 0) left.set(queue, rest)
    else left.delete(queue)
    if (chance.happens(0.3)) await sleep(chance.between(1, 30))
  }
  arena.adders_left -= 1
}

/** Adds up to `wanted` jobs in one transaction, and says how many are new and committed. */
async function addSome(
  { arena, chance, sql }: Actor, adder: number, queue: Queue, wanted: number, places: Map<string, number>,
): Promise<number> {
  const undo = chance.happens(0.1)
  const next = new Map(places)
  const groups = queue.groups === undefined ? null : Array.from({ length: wanted }, () => groupOf(chance, queue, adder))
  const keys = queue.name === 'plain' && chance.happens(0.4)
    ? Array.from({ length: wanted }, () => (chance.happens(0.7) ? `key ${chance.between(1, 60)}` : null)) : null
  const delay = !queue.is_strict && chance.happens(0.2) ? chance.between(1, 500) : undefined
  const due = delay === undefined ? undefined : Date.now() + delay
  const payloads = Array.from({ length: wanted }, (_, place): Payload => {
    if (!queue.is_strict) return { adder, ...(due !== undefined && !keys && { due }) }
    const group = groups![place]!
    next.set(group, (next.get(group) ?? 0) + 1)
    return { adder, place: next.get(group)! }
  })
  const options = {
    start_after: due === undefined ? null : new Date(due),
    priority: queue.is_strict ? 0 : chance.oneOf([0, 0, 0, 1, -1, 100]),
    max_attempts: chance.oneOf([null, 1, 2, 5]),
    timeout_milliseconds: chance.oneOf([null, 100, 300]),
    timeout_with_result: chance.oneOf([null, null, null, 'failed', 'paused', 'cancelled']),
  }
  const has_key = keys !== null && (wanted > 1 || keys[0] !== null)
  const on_conflict = has_key ? chance.oneOf(['skip', 'replace', 'debounce', 'throttle']) : 'skip'
  const throttle = on_conflict === 'throttle' ? chance.between(1, 200) : null

  const ids = await inTransaction(sql, async () => {
    if (wanted > 1) {
      const [row] = await sql<[{ ids: number[] }]>`
        SELECT pgq.add_jobs(
            ${queue.name}, ${json(payloads)}::text[]::jsonb[], start_after => ${options.start_after},
            priority => ${options.priority}, max_attempts => ${options.max_attempts},
            unique_keys => ${keys}::text[], on_conflict => ${on_conflict}, throttle_milliseconds => ${throttle},
            group_keys => ${groups}::text[], timeout_milliseconds => ${options.timeout_milliseconds},
            timeout_with_result => ${options.timeout_with_result}) AS ids`
      return row.ids
    }
    const [row] = await sql<[{ job_id: number }]>`
      SELECT a.job_id
      FROM pgq.add_job(
          ${queue.name}, ${json(payloads)[0]!}::text::jsonb, start_after => ${options.start_after},
          priority => ${options.priority}, max_attempts => ${options.max_attempts},
          unique_key => ${keys?.[0] ?? null}, on_conflict => ${on_conflict}, throttle_milliseconds => ${throttle},
          group_key => ${groups?.[0] ?? null}, timeout_milliseconds => ${options.timeout_milliseconds},
          timeout_with_result => ${options.timeout_with_result}) AS a`
    return [row.job_id]
  }, { undo })
  count(arena, undo ? 'adds undone' : wanted > 1 ? 'batches added' : 'single adds')
  if (undo) return 0

  for (const [group, place] of next) places.set(group, place)
  let added = 0
  ids.forEach((id, place) => {
    // An id that was given before is that of the job that holds the key.
    if (arena.added.has(id)) {
      count(arena, 'adds to a key that was held')
      return
    }
    arena.added.set(id, { queue, payload: payloads[place]! })
    added += 1
  })
  return added
}

function groupOf(chance: Actor['chance'], queue: Queue, adder: number): string {
  const share = queue.groups! / ADDERS
  return queue.is_strict ? `group ${adder * share + chance.between(1, share)}` : `group ${chance.between(1, queue.groups!)}`
}
