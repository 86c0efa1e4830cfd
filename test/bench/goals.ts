/** The goals, each in one place, as ratios within one run. */
import { MACHINE, type Results } from './results.ts'

export interface Goal {
  readonly row: string
  readonly text: string
  /** Undefined where something was not measured. */
  met(results: Results): boolean | undefined
}

const GRAPHILE = 'graphile-worker'

/** Is the figure of pgq at least `factor` times that of a peer (or, with a row, of that row)? */
function atLeast(row: string, factor: number, peer: string, peer_row = row): (results: Results) => boolean | undefined {
  return (results) => compare(results.get(row, 'pgq'), results.get(peer_row, peer), (mine, its) => mine >= factor * its)
}

function atMost(row: string, factor: number, peer: string, peer_row = row): (results: Results) => boolean | undefined {
  return (results) => compare(results.get(row, 'pgq'), results.get(peer_row, peer), (mine, its) => mine <= factor * its)
}

function compare(mine: number | undefined, its: number | undefined, test: (mine: number, its: number) => boolean): boolean | undefined {
  return mine === undefined || its === undefined ? undefined : test(mine, its)
}

/** All of them, unless one is undefined. */
function both(...tests: ((results: Results) => boolean | undefined)[]): (results: Results) => boolean | undefined {
  return (results) => {
    const met = tests.map((test) => test(results))
    return met.includes(undefined) ? undefined : !met.includes(false)
  }
}

const figure = (row: string, peer: string, test: (value: number) => boolean) => (results: Results): boolean | undefined => {
  const value = results.get(row, peer)
  return value === undefined ? undefined : test(value)
}

export const GOALS: readonly Goal[] = [
  { row: 'drain-1', text: '≥ 2 × graphile-worker, ≥ 3.5 × pg-boss', met: both(atLeast('drain-1', 2, GRAPHILE), atLeast('drain-1', 3.5, 'pg-boss')) },
  { row: 'churn-last', text: '≥ 3 × graphile-worker', met: atLeast('churn-last', 3, GRAPHILE) },
  { row: 'churn-held-last', text: "≥ 8 × graphile-worker's last", met: atLeast('churn-held-last', 8, GRAPHILE) },
  { row: 'churn-held-kept', text: '≥ 0.85', met: figure('churn-held-kept', 'pgq', (kept) => kept >= 0.85) },
  { row: 'pick-1-one-16', text: '≥ 2 × graphile-worker', met: atLeast('pick-1-one-16', 2, GRAPHILE, 'pick-1-two-16') },
  { row: 'pick-1-two-16', text: '≥ 1.1 × graphile-worker', met: atLeast('pick-1-two-16', 1.1, GRAPHILE) },
  { row: 'add-1-sql-16', text: "≥ 0.9 of the machine's commits, 16 clients", met: atLeast('add-1-sql-16', 0.9, MACHINE, 'commits-16') },
  { row: 'add-many-node', text: '≥ 0.25 of COPY', met: atLeast('add-many-node', 0.25, MACHINE, 'copy') },
  { row: 'add-many-sql', text: '≥ 0.42 of COPY', met: atLeast('add-many-sql', 0.42, MACHINE, 'copy') },
  { row: 'latency-p50', text: '≤ 0.6 × graphile-worker', met: atMost('latency-p50', 0.6, GRAPHILE) },
  { row: 'latency-p99', text: '≤ graphile-worker', met: atMost('latency-p99', 1, GRAPHILE) },
  {
    row: 'wal', text: '≤ 850, without history ≤ 560',
    met: both(figure('wal', 'pgq', (bytes) => bytes <= 850), figure('wal', 'pgq-no-history', (bytes) => bytes <= 560)),
  },
  { row: 'backlog-growth', text: '≤ 1.5 (at 10 million: --full)', met: figure('backlog-growth', 'pgq', (growth) => growth <= 1.5) },
  { row: 'dispatch-node-1', text: '≥ 2,000', met: figure('dispatch-node-1', 'pgq', (rate) => rate >= 2000) },
  // That they do not notice the one that hangs: within the spread of single measurements.
  { row: 'dispatch-node-20', text: 'as to 1 endpoint (≥ 0.8 ×)', met: atLeast('dispatch-node-20', 0.8, 'pgq', 'dispatch-node-1') },
  { row: 'dispatch-node-20-p99', text: 'as to 1 endpoint (≤ 1.5 ×)', met: atMost('dispatch-node-20-p99', 1.5, 'pgq', 'dispatch-node-1-p99') },
  // "As without them": within the spread of single measurements.
  { row: 'group-behind', text: 'as without them (≤ 1.2 ×)', met: atMost('group-behind', 1.2, 'pgq', 'group-alone') },
]
