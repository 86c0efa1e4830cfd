/** The ways in which pg_net's worker has behaved over its versions; a dispatcher must be right in all of them. */

export interface Behaviour {
  /** What the worker calls itself in pg_stat_activity. */
  readonly version: string
  /** `poll`: looks at its queue each second. `latch`: sleeps until a function of schema net wakes it. */
  readonly waking: 'poll' | 'latch'
  /**
   * `single`: a batch is one transaction, so that its answers appear, and its requests vanish, together at its end, and an
   * error sends it again. `split`: the requests vanish before they are sent, each answer appears by itself, and an error
   * loses what was not answered.
   */
  readonly transaction: 'single' | 'split'
  /** `timed_out` of a request that timed out. */
  readonly timed_out: true | null
  /** `public`: everybody may read and write its tables. `postgres`: only its owner may, and the functions run as the owner. */
  readonly granted_to: 'public' | 'postgres'
}

/** A: 0.8 to 0.10, B: 0.11 to 0.17, C: 0.19.6 and later. */
export type Era = 'A' | 'B' | 'C'

export const ERAS: Readonly<Record<Era, Behaviour>> = {
  A: { version: '0.10.0', waking: 'poll', transaction: 'single', timed_out: null, granted_to: 'postgres' },
  B: { version: '0.14.0', waking: 'poll', transaction: 'split', timed_out: null, granted_to: 'public' },
  C: { version: '0.20.4', waking: 'latch', transaction: 'single', timed_out: true, granted_to: 'public' },
}
