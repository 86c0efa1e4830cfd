/** The steps of docker/Dockerfile, by hand: there is no Docker here. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { startCluster } from '../../support/cluster.ts'
import { ownMajor } from '../../support/postgres.ts'
import type { Check } from '../check.ts'
import { expectEqual, expectSame } from '../expect.ts'
import { CURRENT } from '../installation.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

/** What .dockerignore leaves out. */
const IGNORED = /\/(node_modules|dist|extension\/build|extension\/pgq--[^/]*|extension\/pgq\.plain\.sql)$/

/** A folder that has of the repository what the build has copied, and no more. */
function copyOf(folder: string, ...names: readonly string[]): string {
  const copy = join(folder, 'copy')
  for (const name of names) cpSync(join(ROOT, name), join(copy, name), { recursive: true, filter: (path) => !IGNORED.test(path) })
  return copy
}

/** The first stage, but for pg_net. */
function build(folder: string): void {
  const copy = copyOf(folder, 'Makefile', 'pgq.control', 'extension')
  const DESTDIR = join(folder, 'out')
  execFileSync('make', ['-s', 'install'], { cwd: copy, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, DESTDIR } })
  const sharedir = execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--sharedir'], { encoding: 'utf8' }).trim()
  if (!existsSync(join(DESTDIR, sharedir, 'extension', `pgq--${CURRENT}.sql`))) throw new Error('make install installs nothing')
}

/** The settings that configure.sh gives to every cluster. */
function configured(folder: string, has_pg_net: boolean): Record<string, string> {
  const share = join(folder, has_pg_net ? 'with' : 'without')
  mkdirSync(join(share, 'extension'), { recursive: true })
  writeFileSync(join(share, 'postgresql.conf.sample'), '#port = 5432\n')
  if (has_pg_net) writeFileSync(join(share, 'extension/pg_net.control'), '')
  execFileSync('sh', [join(ROOT, 'docker/configure.sh'), share])
  const lines = readFileSync(join(share, 'postgresql.conf.sample'), 'utf8').matchAll(/^([a-z_.]+) = '(.*)'$/gm)
  return Object.fromEntries([...lines].map(([, name, value]) => [name!, value!]))
}

async function initialise(folder: string): Promise<string> {
  expectEqual('settings with pg_net', configured(folder, true), { shared_preload_libraries: 'pg_cron,pg_net', 'cron.database_name': 'app' })
  const settings = configured(folder, false)
  await using cluster = await startCluster({ settings: { ...settings, 'cron.host': '127.0.0.1' } })
  cluster.psql('CREATE DATABASE app; CREATE DATABASE another')
  const script = readFileSync(join(ROOT, 'docker/initdb/10-extensions.sql'), 'utf8')
  for (const [database, expected] of [['app', ['pg_cron', 'pgq', 'pgtap']], ['another', ['pgq', 'pgtap']]] as const) {
    cluster.psql(script, { database })
    expectSame(`extensions of ${database}`, cluster.psql(`SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'`, { database }).trim().split('\n'), expected)
  }
  return runDemo(folder, cluster.url_of('app'))
}

/** From the folder of the SDK alone, as in the image. */
function runDemo(folder: string, DATABASE_URL: string): string {
  const sdk = join(copyOf(folder, 'sdk-ts'), 'sdk-ts')
  symlinkSync(join(ROOT, 'sdk-ts/node_modules'), join(sdk, 'node_modules'))
  execFileSync('node_modules/.bin/tsx', ['examples/demo.ts'], { cwd: sdk, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, DATABASE_URL } })
  return 'demo ended well'
}

export const image: Check = {
  title: 'the steps of docker/Dockerfile and what its database begins with work by hand',
  async run({ major }) {
    if (major !== ownMajor()) return 'skipped: it is the same'
    const folder = mkdtempSync(join(tmpdir(), 'pgq-image-'))
    try {
      build(folder)
      return await initialise(folder)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
