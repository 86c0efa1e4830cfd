/** What the machine can do at most, measured in the same run: commits of a bare insert, COPY, and jobs by bare functions. */
import { spawn } from 'node:child_process'
import { BARE_SCHEMA, bare_scripts, bareFill } from './bare.ts'
import type { Row } from './experiment.ts'
import { PAYLOAD_LITERAL, PAYLOAD_SQL, payload } from './payload.ts'
import { pgbench } from './pgbench.ts'
import { connect } from './postgres.ts'
import type { Results } from './results.ts'
import { MACHINE } from './results.ts'
import type { Server } from './server.ts'
import type { Sizes } from './sizes.ts'

const CLIENTS = [1, 4, 16] as const
const MOST_CLIENTS = 16

export const LIMIT_ROWS: readonly Row[] = [
  ...CLIENTS.map((clients): Row => ({
    id: `commits-${clients}`, title: `commits of one inserted row, ${clients} client${clients > 1 ? 's' : ''}`, unit: '/s', better: 'more',
  })),
  { id: 'copy', title: 'COPY of rows with such a payload and a primary key', unit: 'rows/s', better: 'more' },
  { id: 'bare-add', title: 'add 1 by a bare function, 16 clients', unit: 'jobs/s', better: 'more' },
  { id: 'bare-pick', title: 'pick 1 + release 1 by a bare function, 16 clients, one call', unit: 'jobs/s', better: 'more' },
]

export async function measureLimits(server: Server, sizes: Sizes, results: Results): Promise<void> {
  await using database = await server.database()
  {
    await using client = await connect(database.url)
    await client.query('CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload jsonb NOT NULL)')
    await client.query(BARE_SCHEMA)
    await client.query(bareFill(PAYLOAD_SQL, sizes.stock))
  }
  for (const clients of CLIENTS) {
    const insert = `INSERT INTO bare (payload) VALUES (${PAYLOAD_LITERAL});`
    results.add(`commits-${clients}`, MACHINE, await pgbench(server, database.url, insert, clients, sizes))
  }
  results.add('copy', MACHINE, await copyRate(server, database.url, sizes.many))
  const rate = (script: string): Promise<number> => pgbench(server, database.url, script, MOST_CLIENTS, sizes)
  results.add('bare-pick', MACHINE, await rate(bare_scripts.release_and_pick))
  results.add('bare-add', MACHINE, await rate(bare_scripts.add(PAYLOAD_LITERAL)))
}

/** Rows a second of one COPY from a client. */
async function copyRate(server: Server, url: string, rows: number): Promise<number> {
  const lines = Array.from({ length: rows }, (_, n) => `${JSON.stringify(payload(n))}\n`).join('')
  // \timing tells the COPY alone, without the start of psql.
  const child = spawn(server.program('psql'), ['-XAtq', url, '-c', '\\timing on', '-c', '\\copy bare (payload) FROM pstdin'])
  child.stdin.end(lines)
  let output = ''
  for await (const chunk of child.stdout) output += String(chunk)
  const milliseconds = /Time: ([\d.]+) ms/.exec(output)?.[1]
  if (milliseconds === undefined) throw new Error(`psql did not tell the time of COPY: ${output}`)
  return rows / (Number(milliseconds) / 1000)
}
