/** The options of `make bench` (BENCH="…") and test/bench/run. */
import { parseArgs } from 'node:util'

export interface Options {
  /** Names of groups of rows; all if empty. */
  readonly rows: readonly string[]
  /** Names of peers; all if empty. */
  readonly peers: readonly string[]
  /** How often each is measured; the long ones once unless it is given. */
  readonly repeat: number | undefined
  /** How much longer each flush of the WAL takes. */
  readonly flush_milliseconds: number
  readonly quick: boolean
  readonly full: boolean
  readonly json: string | undefined
  readonly markdown: string | undefined
}

export const USAGE = `test/bench/run [options]
  --rows a,b        only these groups of rows (--list names them)
  --peers a,b       only these peers (pgq is always measured)
  --repeat N        measure each N times (default: short rows 3 times, long ones once)
  --flush-milliseconds N
                    as on a disk that takes so much longer for each flush of the WAL (up to 100)
  --quick           tiny sizes: proves that all of it runs; the figures mean nothing
  --full            also the backlog of 10 million
  --json FILE       all measurements
  --markdown FILE   the tables, to be pasted into README.md
  --list            the groups of rows and the peers`

export function readOptions(args: readonly string[]): Options | 'list' | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: 'string' }, peers: { type: 'string' }, repeat: { type: 'string' }, 'flush-milliseconds': { type: 'string' },
      quick: { type: 'boolean' }, full: { type: 'boolean' }, json: { type: 'string' }, markdown: { type: 'string' }, list: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return 'help'
  if (values.list) return 'list'
  const repeat = values.repeat === undefined ? undefined : Number(values.repeat)
  if (repeat !== undefined && !(Number.isInteger(repeat) && repeat >= 1)) {
    throw new Error(`Expected \`--repeat\` to be a whole number from 1, got ${values.repeat}`)
  }
  const flush_milliseconds = Number(values['flush-milliseconds'] ?? 0)
  if (!(flush_milliseconds >= 0 && flush_milliseconds <= 100)) {
    throw new Error(`Expected \`--flush-milliseconds\` to be a number from 0 to 100, got ${values['flush-milliseconds']}`)
  }
  return {
    rows: values.rows?.split(',') ?? [], peers: values.peers?.split(',') ?? [], repeat: values.quick ? 1 : repeat,
    flush_milliseconds, quick: values.quick ?? false, full: values.full ?? false, json: values.json, markdown: values.markdown,
  }
}
