/** The runs over which is fought: the workflow in SQL, and what all actors share. */
import type { Chance } from '../../support/random.ts'
import type { Session } from '../../support/session.ts'

export const RUNS = 2000
export const PICKERS = 6
export const SIGNALLERS = 2
export const CANCELLERS = 2
/** Of the runs; the others show that nothing is lost. */
export const MOST_CANCELLED = RUNS / 5

export const QUEUE = 'runs'
export const CHILD_QUEUE = 'children'
export const WORKFLOW = 'parent'
export const CHILD_WORKFLOW = 'child'
export const SIGNAL = 'go'

export const STEPS: Readonly<Record<string, readonly string[]>> = {
  [WORKFLOW]: ['begin', 'gather', 'ask', 'end'],
  [CHILD_WORKFLOW]: ['one', 'two'],
}

/** Of a run: how it goes, decided when it is added. */
export interface Payload {
  readonly children: number
  /** Those with a lower number are runs of the other workflow, the rest are plain jobs. */
  readonly child_runs: number
  /** What becomes of the run when a child dies, which plain ones do sometimes. */
  readonly failed_children: 'fail' | 'ignore'
  readonly group: string | null
}

/** What everybody knows. */
export interface Arena {
  readonly url: string
  /** Ends everybody as soon as one has an error. */
  readonly signal: AbortSignal
  readonly runs: Map<number, Payload>
  /** Runs whose signal is sent. */
  readonly signalled: Set<number>
  /** Runs that somebody has tried to cancel. */
  readonly maybe_cancelled: Set<number>
  readonly tally: Map<string, number>
  is_over: boolean
}

export interface Actor {
  readonly arena: Arena
  readonly chance: Chance
  readonly sql: Session
}

export function count({ tally }: Arena, what: string, times = 1): void {
  tally.set(what, (tally.get(what) ?? 0) + times)
}
