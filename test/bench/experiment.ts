/** An experiment measures one or several rows of the table, once for each peer. */
import type { Peer, Place } from './peers/peer.ts'
import type { Server } from './server.ts'
import type { Sizes } from './sizes.ts'

export interface Row {
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly better: 'more' | 'less'
  /** The row whose peers' figures this one is compared with. @default itself */
  readonly compare_with?: string
}

/** Figures by row. A row without a figure has none for this peer. */
export type Figures = Readonly<Record<string, number | undefined>>

export interface Scene {
  readonly peer: Peer
  /** A database and a Redis of its own. */
  readonly place: Place
  readonly server: Server
  readonly sizes: Sizes
}

export interface Experiment {
  /** For `--rows`. */
  readonly name: string
  readonly title: string
  rows(sizes: Sizes): readonly Row[]
  /** Can it be done with this peer? */
  takes(peer: Peer): boolean
  /** With `--quick` only pgq and graphile-worker do it, because another experiment has shown that the others can. */
  readonly is_repetitive?: boolean
  /** Measured once unless `--repeat` says otherwise. */
  readonly is_long?: boolean
  measure(scene: Scene): Promise<Figures>
}

/** A peer that does a tenth of the rate gets a tenth of the jobs, so that a run ends. */
export function share(peer: Peer, jobs: number): number {
  return Math.max(1, Math.round(jobs * (peer.share ?? 1)))
}
