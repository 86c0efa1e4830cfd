/** pg_dump, and what psql makes of its script. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Cluster } from '../support/cluster.ts'
import { clientFolder } from '../support/postgres.ts'
import { emptyDatabase, type Installation } from './installation.ts'

/** What pg_dump says of a database; `options` are settings of its session. */
export function dump({ cluster, database }: Installation, args: readonly string[] = [], options = ''): string {
  const { status, stdout, stderr } = spawnSync(
    join(clientFolder(), 'pg_dump'), ['-h', cluster.host, '-p', `${cluster.port}`, '-U', 'postgres', ...args, database],
    { encoding: 'utf8', maxBuffer: 1 << 30, env: { ...process.env, PGOPTIONS: options } })
  if (status !== 0) throw new Error(`pg_dump: ${stderr}`)
  return stdout
}

/** Restores a dump into a new database, as psql does by default but for stopping at the first error. */
export function restore(cluster: Cluster, script: string, schema = 'pgq'): Installation {
  const made = emptyDatabase(cluster, schema)
  made.sql(script)
  return made
}
