/** The results as tables: for the terminal, and as Markdown. */
import type { Row } from './experiment.ts'
import { GOALS } from './goals.ts'
import { LIMIT_ROWS } from './limits.ts'
import type { Peer } from './peers/peer.ts'
import { MACHINE, type Results } from './results.ts'

/** Nothing to tell: not measured, or the peer cannot do it. */
const NONE = '–'

export type Cells = readonly (readonly string[])[]

export function resultCells(results: Results, rows: readonly Row[], peers: readonly Peer[]): Cells {
  const head = ['row', ...peers.map((peer) => peer.title), '× best Postgres peer', 'goal', 'met']
  return [head, ...rows.map((row) => {
    const goal = GOALS.find((one) => one.row === row.id)
    const met = goal?.met(results)
    return [
      `${row.title} (${row.unit})`,
      ...peers.map((peer) => figure(results.get(row.id, peer.name))),
      ratio(results, row, peers),
      goal?.text ?? '',
      goal === undefined ? '' : met === undefined ? NONE : met ? 'yes' : 'no',
    ]
  })]
}

export function limitCells(results: Results): Cells {
  return [["the machine's own limits", ''], ...LIMIT_ROWS.map(({ id, title, unit }) => [`${title} (${unit})`, figure(results.get(id, MACHINE))])]
}

/** How many times better pgq is than the best peer that stores in Postgres; below 1 it is worse. */
function ratio(results: Results, { id, better, compare_with = id }: Row, peers: readonly Peer[]): string {
  const mine = results.get(id, 'pgq')
  const others = peers
    .filter((peer) => peer.stores_in === 'postgres' && !peer.name.startsWith('pgq'))
    .flatMap((peer) => results.get(compare_with, peer.name) ?? [])
  if (mine === undefined || others.length === 0) return NONE
  return (better === 'more' ? mine / Math.max(...others) : Math.min(...others) / mine).toFixed(2)
}

/** Three digits that mean something. */
export function figure(value: number | undefined): string {
  if (value === undefined) return NONE
  if (value >= 1000) return Math.round(Number(value.toPrecision(3))).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}

export function asText(cells: Cells): string {
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)))
  return cells.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  ').trimEnd()).join('\n')
}

export function asMarkdown(cells: Cells): string {
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`
  const [head, ...rest] = cells
  return [line(head!), `|${head!.map((_, column) => (column === 0 ? '---' : '--:')).join('|')}|`, ...rest.map(line)].join('\n')
}
