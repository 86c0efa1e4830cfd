/** How much work a row is. */

export interface Sizes {
  /** How long pgbench runs; its first second does not count. */
  readonly pgbench_seconds: number
  /** In place of that time: so many transactions of pgbench, all clients together. */
  readonly transactions: number | undefined
  /** How long other loops against the clock run. */
  readonly seconds: number
  /** Jobs of "add many" and "drain". */
  readonly many: number
  /** Jobs added in single calls from Node. */
  readonly singles: number
  /** Jobs there for pickers that run against the clock. */
  readonly stock: number
  readonly churn: number
  /** A slow peer's churn ends here. */
  readonly churn_seconds: number
  readonly latency_samples: number
  readonly latency_seconds: number
  /** Jobs in line. */
  readonly backlogs: readonly number[]
  /** Picks of which the percentile is taken. */
  readonly picks: number
  readonly running_head: number
  readonly held_group: number
  readonly queues: number
  /** Of a workflow of three steps. */
  readonly runs: number
  /** That one run starts. */
  readonly children: number
  /** Of workflows whose types are checked. */
  readonly steps: readonly number[]
  /** Jobs of rows about bytes and about features. */
  readonly batch_jobs: number
  /** Payloads: [bytes, jobs]. */
  readonly payloads: readonly (readonly [bytes: number, jobs: number])[]
  readonly warm_up: number
  /** No more clients than this pick or add at the same time. */
  readonly most_clients: number
}

export function sizes({ quick, full }: { quick: boolean; full: boolean }): Sizes {
  if (quick) {
    return {
      pgbench_seconds: 1, transactions: 16,
      seconds: 0.1, many: 400, singles: 32, stock: 600, churn: 600, churn_seconds: 1, latency_samples: 1, latency_seconds: 3,
      backlogs: [200, 400], picks: 20, running_head: 100, held_group: 200, queues: 5, runs: 100, children: 200, steps: [30],
      batch_jobs: 600, payloads: [[1000, 100], [100_000, 10]], warm_up: 20, most_clients: 2,
    }
  }
  return {
    pgbench_seconds: 4, transactions: undefined,
    seconds: 2, many: 100_000, singles: 2000, stock: 60_000, churn: 600_000, churn_seconds: 40, latency_samples: 300,
    latency_seconds: 20, backlogs: full ? [10_000, 1_000_000, 10_000_000] : [10_000, 1_000_000], picks: 2000, running_head: 1000,
    held_group: 1_000_000, queues: 100, runs: 20_000, children: 10_000, steps: [1, 30], batch_jobs: 20_000,
    payloads: [[1000, 20_000], [100_000, 2000]], warm_up: 500, most_clients: 16,
  }
}
