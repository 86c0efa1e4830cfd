/** The fight's queues, with the limits that nobody may exceed, and what all its actors share. */
import type { Chance } from '../../support/random.ts'
import type { Session } from '../../support/session.ts'

export interface Queue {
  readonly name: string
  /** Jobs that are added in all. */
  readonly jobs: number
  readonly limit?: number
  readonly group_limit?: number
  readonly groups?: number
  /** A group's jobs run strictly one after the other. */
  readonly is_strict?: boolean
}

export const ADDERS = 4
export const PICKERS = 8
export const MEDDLERS = 2

// Of each adder a whole number of jobs, and of the strict queue a whole number of groups: a group has one adder, whose
// order is then the order of the group.
export const QUEUES: readonly Queue[] = [
  { name: 'plain', jobs: 8000 },
  { name: 'limited', jobs: 2400, limit: 5 },
  { name: 'strict', jobs: 4800, group_limit: 1, groups: 40, is_strict: true },
  { name: 'loose', jobs: 4800, group_limit: 3, groups: 25 },
]

export interface Payload {
  readonly adder: number
  /** Counts the jobs of a strict group. */
  readonly place?: number
  /** Not to be picked before (milliseconds since 1970), for jobs that nobody replaces or reschedules. */
  readonly due?: number
}

/** What everybody knows. */
export interface Arena {
  readonly url: string
  /** Ends everybody as soon as one has an error. */
  readonly signal: AbortSignal
  /** Jobs whose add is committed, with the adder's payload. */
  readonly added: Map<number, { readonly queue: Queue; readonly payload: Payload }>
  /** Jobs that somebody has tried to cancel: they may lose their lease at any time. */
  readonly maybe_cancelled: Set<number>
  /** Jobs that were brought back after they had ended. */
  readonly retried: Set<number>
  /** What a release that was committed has made of the job. */
  readonly released: Map<number, 'complete' | 'cancelled'>
  /** How often each queue's pauses have begun or ended, odd while it is certainly paused. */
  readonly pauses: Map<string, number>
  /** Queues that somebody is pausing. */
  readonly pausing: Set<string>
  /** Everything that happened, counted by its name, for the report. */
  readonly tally: Map<string, number>
  adders_left: number
  /** All jobs are added and none was left at some time: nobody brings any back from now on. */
  is_ending: boolean
  meddlers_left: number
  /** None is left, and none can come back. */
  is_over: boolean
}

export interface Actor {
  readonly arena: Arena
  readonly chance: Chance
  readonly sql: Session
}

export function count(arena: Arena, what: string, times = 1): void {
  arena.tally.set(what, (arena.tally.get(what) ?? 0) + times)
}
