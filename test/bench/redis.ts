/** A throwaway Redis, as BullMQ's documents recommend it. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

const SETTINGS = { appendonly: 'yes', appendfsync: 'everysec', 'maxmemory-policy': 'noeviction', save: '' } as const

export interface RedisServer extends AsyncDisposable {
  readonly url: string
  readonly version: string
  /** Forgets all. */
  empty(): Promise<void>
}

/** Undefined where redis-server is not installed: BullMQ is left out then. */
export async function startRedis(): Promise<RedisServer | undefined> {
  const about = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
  if (about.status !== 0) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'pgq-redis-'))
  const port = await freePort()
  const options = Object.entries({ port, bind: '127.0.0.1', dir: folder, daemonize: 'no', ...SETTINGS })
  const server = spawn('redis-server', options.flatMap(([name, value]) => [`--${name}`, String(value)]), { stdio: 'ignore' })
  const discard = (): void => {
    server.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  process.on('exit', discard)

  // It connects when the server is up: the client tries again by itself.
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50, maxRetriesPerRequest: 200 })
  client.on('error', () => {})
  await client.ping()

  return {
    url: `redis://127.0.0.1:${port}`,
    version: /v=(\S+)/.exec(about.stdout)?.[1] ?? '?',
    async empty() {
      await client.flushall()
    },
    async [Symbol.asyncDispose]() {
      client.disconnect()
      process.off('exit', discard)
      const ended = new Promise((resolve) => server.once('exit', resolve))
      server.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
