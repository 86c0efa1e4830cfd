/** Runs all checks on each PostgreSQL, and prints a table of them. */
import { startCluster } from '../support/cluster.ts'
import { ownMajor, serverFolder } from '../support/postgres.ts'
import { fail, tally, type Tally } from '../support/tap.ts'
import type { Check, Server } from './check.ts'
import { alike } from './checks/alike.ts'
import { image } from './checks/image.ts'
import { live } from './checks/live.ts'
import { moves } from './checks/moves.ts'
import { neighbours } from './checks/neighbours.ts'
import { packages } from './checks/packages.ts'
import { pglite } from './checks/pglite.ts'
import { pgtap } from './checks/pgtap.ts'
import { rights } from './checks/rights.ts'
import { rows } from './checks/rows.ts'
import { makeRoles } from './installation.ts'

const CHECKS: readonly Check[] = [...alike, ...rows, ...moves, ...live, ...rights, ...neighbours, ...packages, image, ...pglite, ...pgtap]

export interface MatrixOptions {
  readonly majors: readonly number[]
  /** Only checks whose title has this in it. @default '' */
  readonly only?: string
}

/** A title, and what came of it on each major. */
type Row = [title: string, results: string[]]

/** Runs the checks; the table and problems are printed, the count is given. */
export async function checkUpgrades({ majors, only = '' }: MatrixOptions): Promise<Tally> {
  const total = tally()
  const checks = CHECKS.filter(({ title }) => title.includes(only))
  const table: Row[] = checks.map(({ title }) => [title, []])
  await using donor = await startCluster({ settings: { max_connections: 100 } })
  makeRoles(donor)
  for (const major of majors) {
    await using other = major === ownMajor() ? undefined : await startCluster({ bin: serverFolder(major), settings: { max_connections: 100 } })
    if (other) makeRoles(other)
    for (const [place, check] of checks.entries()) {
      table[place]![1].push(await resultOf(check, { major, cluster: other ?? donor, donor }, total))
    }
  }
  printTable(majors, table)
  return total
}

async function resultOf(check: Check, server: Server, total: Tally): Promise<string> {
  const began = performance.now()
  let result: string
  try {
    const note = (await check.run(server)) ?? ''
    if (note.startsWith('skipped')) return note
    total.passed += 1
    result = ['ok', note].filter(Boolean).join(', ')
  } catch (error) {
    fail(total, `PostgreSQL ${server.major}: ${check.title}\n${error instanceof Error ? error.message : String(error)}`)
    result = 'FAILED'
  }
  console.log(`  ${server.major}  ${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${check.title}: ${result}`)
  return result
}

function printTable(majors: readonly number[], table: readonly Row[]): void {
  const short = (result: string): string => (result === '' ? '' : /^\w+/.exec(result)![0])
  const width = Math.max(...table.map(([title]) => title.length))
  console.log(`  ${''.padEnd(width)}  ${majors.map((major) => `${major}`.padEnd(8)).join('')}`)
  for (const [title, results] of table) {
    console.log(`  ${title.padEnd(width)}  ${results.map((result) => short(result).padEnd(8)).join('')}`)
  }
}
