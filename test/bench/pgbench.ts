/** pgbench: the raw SQL client for single calls, the same for all peers, with prepared statements. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Server } from './server.ts'
import type { Sizes } from './sizes.ts'

/** Transactions (runs of the script) a second. */
export async function pgbench(
  server: Server, url: string, script: string, asked_clients: number, sizes: Sizes,
): Promise<number> {
  const { seconds, transactions, warm_up } = sizes
  const clients = Math.min(asked_clients, sizes.most_clients)
  const folder = mkdtempSync(join(tmpdir(), 'pgq-pgbench-'))
  try {
    writeFileSync(join(folder, 'script.sql'), `${script.trim()}\n`)
    const run = (length: readonly string[]): Promise<number> => start(server.program('pgbench'), [
      '-n', '-M', 'prepared', '-c', String(clients), '-j', String(Math.min(2, clients)), ...length,
      // What release_and_pick holds before its first pick: nothing.
      '-D', 'job_id=0', '-D', 'lease_token=0', '-f', join(folder, 'script.sql'), url,
    ])
    if (transactions !== undefined) return await run(['-t', String(Math.ceil(transactions / clients))])
    if (warm_up > 0) await run(['-t', String(Math.ceil(warm_up / clients))])
    return await run(['-T', String(seconds)])
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
      const tps = /^tps = ([\d.]+)/m.exec(output)?.[1]
      if (code === 0 && tps !== undefined) resolve(Number(tps))
      else reject(new Error(`pgbench: ${output.split('\n').filter((line) => /error|aborted/i.test(line)).slice(0, 3).join(' ') || output}`))
    })
  })
}
