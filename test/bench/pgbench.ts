/** pgbench: the raw SQL client for single calls, the same for all peers, with prepared statements. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Server } from './server.ts'
import type { Sizes } from './sizes.ts'
import { mean } from './statistics.ts'

/**
 * Transactions (runs of the script) a second. Those of the first second do not count: in it new sessions plan their
 * statements, compile functions and fill their caches, which sessions that live for hours do once.
 */
export async function pgbench(
  server: Server, url: string, script: string, asked_clients: number, sizes: Sizes,
): Promise<number> {
  const { pgbench_seconds, transactions } = sizes
  const clients = Math.min(asked_clients, sizes.most_clients)
  const folder = mkdtempSync(join(tmpdir(), 'pgq-pgbench-'))
  try {
    writeFileSync(join(folder, 'script.sql'), `${script.trim()}\n`)
    return await start(server.program('pgbench'), [
      '-n', '-M', 'prepared', '-c', String(clients), '-j', String(Math.min(2, clients)),
      ...(transactions === undefined ? ['-T', String(pgbench_seconds), '-P', '1'] : ['-t', String(Math.ceil(transactions / clients))]),
      // What release_and_pick holds before its first pick: nothing.
      '-D', 'job_id=0', '-D', 'lease_token=0', '-f', join(folder, 'script.sql'), url,
    ])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function start(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = ''
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => {
      const after_first = [...output.matchAll(/^progress: .* s, ([\d.]+) tps/gm)].slice(1).map((line) => Number(line[1]))
      const tps = after_first.length > 0 ? mean(after_first) : Number(/^tps = ([\d.]+)/m.exec(output)?.[1])
      if (code === 0 && !Number.isNaN(tps)) resolve(tps)
      else reject(new Error(`pgbench: ${output.split('\n').filter((line) => /error|aborted/i.test(line)).slice(0, 3).join(' ') || output}`))
    })
  })
}
