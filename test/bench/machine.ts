/** What a run ran on: told with its figures. */
import { readFileSync } from 'node:fs'
import { cpus, totalmem, type } from 'node:os'
import { resolve } from 'node:path'
import type { Peer } from './peers/peer.ts'
import { connect } from './postgres.ts'
import type { RedisServer } from './redis.ts'
import type { Server } from './server.ts'

export interface Machine {
  readonly hardware: string
  readonly software: string
  readonly server_settings: string
  /** Version by npm package. */
  readonly versions: Readonly<Record<string, string>>
}

export async function describeMachine(server: Server, redis: RedisServer | undefined, peers: readonly Peer[]): Promise<Machine> {
  await using client = await connect(server.url)
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
  const [cpu] = cpus()
  return {
    hardware: `${cpus().length} cores (${cpu?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB of memory, ${type()}`,
    software: `PostgreSQL ${rows[0]!.server_version}, Node ${process.versions.node}${redis ? `, Redis ${redis.version}` : ', no Redis'}`,
    server_settings: Object.entries(server.settings).map(([name, value]) => `${name} ${value}`).join(', '),
    versions: Object.fromEntries(peers.map(({ npm_package }) => [npm_package, versionOf(npm_package)])),
  }
}

function versionOf(npm_package: string): string {
  const file = npm_package === 'pgq' ? '../../sdk-ts/package.json' : `node_modules/${npm_package}/package.json`
  return JSON.parse(readFileSync(resolve(import.meta.dirname, file), 'utf8')).version
}
