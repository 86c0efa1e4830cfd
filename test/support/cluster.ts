/**
 * Throwaway PostgreSQL clusters on 127.0.0.1, for everything that tests on a real server.
 *
 * A cluster lives in a temporary folder, keeps fsync on (crash tests are worth nothing without it), lets everyone in
 * as superuser `postgres`, and goes away with the process that started it. PostgreSQL refuses to run as root, so for
 * root it runs as the user `postgres`.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Cluster extends AsyncDisposable {
  /** Address of the database `postgres`, for any driver. */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly data_dir: string
  /** Address of another database of this cluster. */
  url_of(database: string): string
  /** Runs a script with psql, on `database`; throws psql's own message, with what came before it as `stdout`. */
  psql(sql: string, options?: { database?: string; user?: string }): string
  /** SIGKILL to the server and all its children at once: a crash in the midst of everything. */
  kill9(): Promise<void>
  /** Starts the server again, after `stop` or `kill9`. Same port, same data. */
  start(): Promise<void>
  /** Stops the server; the data stays. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
}

export interface ClusterOptions {
  /** Major version, where several are installed (Debian's layout). @default what PG_CONFIG or pg_config in PATH says */
  readonly major?: number
  /** Folder of initdb and pg_ctl, of a server that is elsewhere. @default that of `major` */
  readonly bin?: string
  /** Further settings for postgresql.conf. @default {} */
  readonly settings?: Readonly<Record<string, string | number>>
}

const HOST = '127.0.0.1'

/** Folder of initdb, pg_ctl, psql. */
function bindir(major?: number): string {
  if (major !== undefined) return `/usr/lib/postgresql/${major}/bin`
  return execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--bindir'], { encoding: 'utf8' }).trim()
}

/** Makes and starts a cluster. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const bin = options.bin ?? bindir(options.major)
  const psql = [bin, bindir()].map((folder) => join(folder, 'psql')).find(existsSync) ?? 'psql'
  const as = serverUser()
  const folder = mkdtempSync(join(tmpdir(), 'pgq-cluster-'))
  if (as) chownSync(folder, as.uid, as.gid)
  const data_dir = join(folder, 'data')
  const port = await freePort()
  const url_of = (database: string): string => `postgres://postgres@${HOST}:${port}/${encodeURIComponent(database)}`

  const settings = {
    listen_addresses: HOST,
    port,
    unix_socket_directories: '',
    max_connections: 200,
    // The messages tests compare are English.
    lc_messages: 'C',
    ...options.settings,
  }

  function run(program: string, args: readonly string[]): void {
    // A daemon must not inherit our pipes: nobody would see their end.
    const { status, error, stderr } = spawnSync(join(bin, program), args, {
      ...as, cwd: folder, encoding: 'utf8', stdio: ['ignore', 'ignore', program === 'pg_ctl' ? 'ignore' : 'pipe'],
    })
    if (status !== 0) throw new Error(`${program} failed: ${error?.message ?? stderr ?? ''}\n${serverLog()}`)
  }

  function serverLog(): string {
    const log = join(folder, 'log')
    return existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(-20).join('\n') : ''
  }

  const cluster: Cluster = {
    url: url_of('postgres'), host: HOST, port, data_dir, url_of,

    psql(sql, { database = 'postgres', user = 'postgres' } = {}) {
      const { status, stdout, stderr } = spawnSync(
        psql,
        ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', HOST, '-p', `${port}`, '-U', user, '-d', database],
        { input: sql, encoding: 'utf8', maxBuffer: 1 << 28 },
      )
      if (status !== 0) throw Object.assign(new Error(`psql: ${stderr}`), { stdout })
      return stdout
    },

    async start() {
      run('pg_ctl', ['start', '-w', '-t', '60', '-D', data_dir, '-l', join(folder, 'log')])
    },

    async stop(mode = 'fast') {
      if (existsSync(join(data_dir, 'postmaster.pid'))) run('pg_ctl', ['stop', '-w', '-D', data_dir, '-m', mode])
    },

    async kill9() {
      const postmaster = Number(readFileSync(join(data_dir, 'postmaster.pid'), 'utf8').split('\n')[0])
      // Frozen first: it would start new children, and recover when the old ones die.
      process.kill(postmaster, 'SIGSTOP')
      const victims = [postmaster, ...childrenOf(postmaster)]
      for (const pid of victims) kill(pid)
      while (victims.some(isAlive)) await sleep(5)
      // In a container whose init reaps nobody the dead postmaster keeps its pid, and looks alive to the next one.
      rmSync(join(data_dir, 'postmaster.pid'), { force: true })
    },

    async [Symbol.asyncDispose]() {
      discard()
      process.off('exit', discard)
    },
  }

  function discard(): void {
    if (existsSync(join(data_dir, 'postmaster.pid'))) {
      spawnSync(join(bin, 'pg_ctl'), ['stop', '-w', '-D', data_dir, '-m', 'immediate'], { ...as, cwd: folder, stdio: 'ignore' })
    }
    rmSync(folder, { recursive: true, force: true })
  }

  process.on('exit', discard)
  const empty = (empty_data_dirs[bin] ??= makeEmptyDataDir(run, as))
  execFileSync('cp', ['-Rp', empty, data_dir], { ...as, cwd: folder })
  appendFileSync(
    join(data_dir, 'postgresql.conf'),
    Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`).join(''),
  )
  await cluster.start()
  return cluster
}

/** By the folder of their initdb: a copy is made in a tenth of its time. */
const empty_data_dirs: Record<string, string> = {}

function makeEmptyDataDir(run: (program: string, args: readonly string[]) => void, as: ServerUser | undefined): string {
  const folder = mkdtempSync(join(tmpdir(), 'pgq-empty-'))
  if (as) chownSync(folder, as.uid, as.gid)
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const data_dir = join(folder, 'data')
  run('initdb', ['-D', data_dir, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'])
  return data_dir
}

interface ServerUser {
  readonly uid: number
  readonly gid: number
}

/** Who the server runs as, when that is not the one who runs the tests. */
function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, HOST, () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

/** Processes whose parent is `parent`, from /proc, or from ps where there is none. */
function childrenOf(parent: number): number[] {
  const processes = existsSync('/proc/self/stat')
    ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => [Number(pid), statOf(Number(pid))?.ppid])
    : execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
        .trim().split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  return processes.flatMap(([pid, ppid]) => (ppid === parent ? [pid!] : []))
}

function statOf(pid: number): { state: string; ppid: number } | undefined {
  try {
    // "pid (name) state ppid …", and the name may hold anything.
    const [state, ppid] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
    return { state: state!, ppid: Number(ppid) }
  } catch {
    return undefined // It has ended since.
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function isAlive(pid: number): boolean {
  if (existsSync('/proc/self/stat')) return !['Z', undefined].includes(statOf(pid)?.state)
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
