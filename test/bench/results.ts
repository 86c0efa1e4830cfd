/** All measurements of a run. */
import { median } from './statistics.ts'

export class Results {
  /** By row and peer, in the order of the runs. */
  readonly all = new Map<string, Map<string, number[]>>()
  readonly failures: string[] = []

  add(row: string, peer: string, value: number): void {
    if (!this.all.has(row)) this.all.set(row, new Map())
    const peers = this.all.get(row)!
    peers.set(peer, [...(peers.get(peer) ?? []), value])
  }

  get(row: string, peer: string): number | undefined {
    const values = this.all.get(row)?.get(peer)
    return values && median(values)
  }
}

/** Stands for the machine among the peers: see limits.ts. */
export const MACHINE = 'machine'
