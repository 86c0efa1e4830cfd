/** One thing that is checked on each PostgreSQL. */
import type { Cluster } from '../support/cluster.ts'

export interface Check {
  /** A sentence, as for every test. */
  readonly title: string
  /** Throws what is wrong; gives a note for the table, `skipped` when it cannot be tried here. */
  run(server: Server): void | string | Promise<void | string>
}

/** What a check has to work with. */
export interface Server {
  readonly major: number
  readonly cluster: Cluster
  /** A server of PG_CONFIG's PostgreSQL, whose clients can dump it. */
  readonly donor: Cluster
}
