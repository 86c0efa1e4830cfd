/** Installs pg_net's double into a database and runs its worker. README.md says how true it is. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Cluster } from '../cluster.ts'
import { ERAS, type Era } from './eras.ts'
import type { WorkerTask } from './worker.ts'

const WORKER = resolve(import.meta.dirname, 'worker.ts')
const LONGEST_SILENCE_MILLISECONDS = 30_000
const SQL = readFileSync(resolve(import.meta.dirname, 'pg_net.sql'), 'utf8')

/** What postgresql.conf has when pg_net is loaded there: `startCluster({ settings: … })`. */
export function pgNetSettings(database: string, batch_size = 200): Readonly<Record<string, string | number>> {
  return { 'pg_net.batch_size': batch_size, 'pg_net.ttl': '6 hours', 'pg_net.database_name': database, 'pg_net.username': '' }
}

/** What CREATE EXTENSION pg_net would run, for a superuser. */
export function pgNetSql(era: Era = 'C'): string {
  return `${SQL}
    -- Gives bytes back as text without a look at them, as the original stores what it has received.
    CREATE FUNCTION net._unvalidated(bytea, bytea) RETURNS text LANGUAGE internal IMMUTABLE STRICT AS 'byteacat';
    ${ERAS[era].granted_to === 'public' ? '' : OWNER_ONLY}`
}

const OWNER_ONLY = `
  REVOKE ALL ON ALL TABLES IN SCHEMA net FROM PUBLIC;
  REVOKE ALL ON ALL SEQUENCES IN SCHEMA net FROM PUBLIC;
  ALTER FUNCTION net.http_get(text, jsonb, jsonb, integer) SECURITY DEFINER;
  ALTER FUNCTION net.http_post(text, jsonb, jsonb, jsonb, integer) SECURITY DEFINER;
  ALTER FUNCTION net.http_delete(text, jsonb, jsonb, integer, jsonb) SECURITY DEFINER;`

export function installPgNet(cluster: Cluster, database: string, era: Era = 'C'): void {
  cluster.psql(pgNetSql(era), { database })
}

export interface PgNet extends AsyncDisposable {
  readonly pid: number
  /** An error in the midst of a batch: the worker ends, and is back after a second. */
  fail(): Promise<void>
  /** Is slow: does nothing at all until `resume`. */
  pause(): void
  resume(): void
  /** The worker is back after the server was away. */
  isBack(): Promise<void>
  /** Ends the process; what it was sending is cut off. */
  kill(): Promise<void>
}

/** Starts the worker, and returns when it works. */
export async function startPgNet(url: string, era: Era = 'C'): Promise<PgNet> {
  const child: ChildProcess = fork(WORKER, [JSON.stringify({ url, era } satisfies WorkerTask)], {
    cwd: import.meta.dirname, execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const hears = (said: RegExp): Promise<void> => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Expected pg_net to say ${said} within ${LONGEST_SILENCE_MILLISECONDS} ms`)), LONGEST_SILENCE_MILLISECONDS)
    child.on('message', function listen(message: string) {
      if (!said.test(message)) return
      clearTimeout(timer)
      child.off('message', listen)
      resolve()
    })
  })
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  const onExit = (): boolean => child.kill('SIGKILL')
  process.on('exit', onExit)
  await hears(/^ready/)
  return {
    pid: child.pid!,
    async fail() {
      const failed = hears(/^ended/)
      child.send('fail')
      await failed
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    isBack: () => hears(/^ready/),
    kill,
    async [Symbol.asyncDispose]() {
      process.off('exit', onExit)
      await kill()
    },
  }
}
