/** Sees to it that no limit is exceeded: by looking all the time, and afterwards by going through the log of commits. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { readJobLog, type JobChange } from '../../support/job-log.ts'
import type { Session } from '../../support/session.ts'
import { QUEUES, count, type Actor, type Arena, type Queue } from './rules.ts'

/** Looks while the others fight. Each look is one snapshot, so what it counts was true at one instant. */
export async function watch({ arena, sql }: Actor): Promise<void> {
  while (!arena.is_over && !arena.signal.aborted) {
    const can_come_back = arena.meddlers_left > 0
    const rows = await sql<{ queue_name: string; group_key: string | null; running: number; live: number }[]>`
      SELECT q.queue_name, j.group_key, count(j.lease_token)::integer AS running, count(*)::integer AS live
      FROM pgq.job AS j
      JOIN pgq.queue AS q ON q.queue_id = j.queue_id
      GROUP BY q.queue_name, j.group_key`
    for (const { name, limit, group_limit } of QUEUES) {
      const groups = rows.filter(({ queue_name }) => queue_name === name)
      const running = groups.reduce((sum, group) => sum + group.running, 0)
      if (limit !== undefined) expect(running, `jobs running in ${name}`).toBeLessThanOrEqual(limit)
      if (group_limit === undefined) continue
      for (const group of groups) {
        expect(group.running, `jobs running of ${group.group_key} of ${name}`).toBeLessThanOrEqual(group_limit)
      }
    }
    count(arena, 'looks')
    arena.is_ending ||= arena.adders_left === 0 && rows.length === 0
    arena.is_over = arena.is_ending && !can_come_back && rows.length === 0
    await sleep(20)
  }
}

interface Live {
  readonly queue: Queue
  readonly group: string | null
  readonly is_running: boolean
  readonly is_in_line: boolean
}

/** Goes through all commits in their order. Returns how many jobs ran at most at once, in each queue and group. */
export async function review(sql: Session, { added }: Arena): Promise<Record<string, number>> {
  const ids = await sql<{ queue_id: number; queue_name: string }[]>`SELECT q.queue_id, q.queue_name FROM pgq.queue AS q`
  const queues = new Map(ids.map(({ queue_id, queue_name }) => [queue_id, QUEUES.find(({ name }) => name === queue_name)!]))
  const live = new Map<number, Live>()
  const most: Record<string, number> = {}
  const sums = new Map<string, number>()
  /** The jobs of a strict group that have not ended, by their places. */
  const waiting = new Map<string, Set<number>>()

  function sum(job: Live, by: 1 | -1): void {
    const of_group = `${job.queue.name} ${job.group}`
    for (const [what, is_counted] of [
      [`running in ${job.queue.name}`, job.is_running],
      [`running in a group: ${of_group}`, job.is_running && job.group !== null],
      [`in line of a group: ${of_group}`, job.is_in_line && job.group !== null],
    ] as const) {
      if (is_counted) sums.set(what, (sums.get(what) ?? 0) + by)
    }
  }

  function apply(change: JobChange): void {
    const { job_id } = change
    const before = live.get(job_id)
    const place = added.get(job_id)?.payload.place
    if (before) sum(before, -1)
    if (change.kind === 'DELETE') {
      expect(before, `job ${job_id} ends once`).toBeDefined()
      live.delete(job_id)
      if (place !== undefined) waiting.get(before!.group!)!.delete(place)
      return
    }
    if (change.kind === 'INSERT') expect(before, `job ${job_id} is added once`).toBeUndefined()
    const after: Live = {
      queue: queues.get(change.queue_id!)!,
      group: change.group_key,
      is_running: change.lease_token !== null,
      is_in_line: change.held_by === null,
    }
    if (place !== undefined) {
      const places = waiting.get(after.group!) ?? new Set()
      waiting.set(after.group!, places.add(place))
      if (after.is_running && !before?.is_running) {
        expect(place, `job ${job_id} is the next of ${after.group}`).toBe(Math.min(...places))
      }
    }
    sum(after, 1)
    live.set(job_id, after)
  }

  for await (const changes of readJobLog(sql)) {
    for (const change of changes) apply(change)
    // A commit is an instant, what lies between its changes is not.
    for (const what of new Set(changes.flatMap(({ job_id }) => namesOf(live.get(job_id))))) {
      const [kind, rest] = what.split(': ')
      const name = rest === undefined ? kind! : `${kind} of ${rest.split(' ')[0]}`
      most[name] = Math.max(most[name] ?? 0, sums.get(what) ?? 0)
    }
  }
  expect(live.size, 'jobs left in the log').toBe(0)
  return most
}

function namesOf(job: Live | undefined): string[] {
  if (!job) return []
  const of_queue = `running in ${job.queue.name}`
  const of_group = `${job.queue.name} ${job.group}`
  return job.group === null ? [of_queue] : [of_queue, `running in a group: ${of_group}`, `in line of a group: ${of_group}`]
}
