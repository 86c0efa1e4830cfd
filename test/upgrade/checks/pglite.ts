/** A database of PGlite that an earlier package has made, opened with this one. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PGlite, type Extension } from '@electric-sql/pglite'
import { pgq } from '../../../sdk-ts/src/pglite.ts'
import { ownMajor } from '../../support/postgres.ts'
import type { Check } from '../check.ts'
import { expectEqual } from '../expect.ts'
import { CURRENT } from '../installation.ts'
import { RELEASES } from './alike.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

/** The extension as the package of that version had it. */
function bundleOf(version: string, folder: string): Extension {
  const place = join(folder, 'share/postgresql/extension')
  mkdirSync(place, { recursive: true })
  copyFileSync(join(ROOT, 'extension/releases', `pgq--${version}.sql`), join(place, `pgq--${version}.sql`))
  writeFileSync(join(place, 'pgq.control'), readFileSync(join(ROOT, 'pgq.control'), 'utf8').replace(CURRENT, version))
  execFileSync('tar', ['--format=ustar', '-czf', 'pgq.tar.gz', 'share'], { cwd: folder })
  return { name: 'pgq', setup: async () => ({ bundlePath: pathToFileURL(join(folder, 'pgq.tar.gz')) }) }
}

export const pglite = RELEASES.map((release): Check => ({
  title: `a database of PGlite with ${release} is upgraded by this package, with its jobs`,
  async run({ major }) {
    if (major !== ownMajor()) return 'skipped: it is the same'
    execFileSync('make', ['-s', 'bundle'], { cwd: ROOT, stdio: 'ignore' })
    const folder = mkdtempSync(join(tmpdir(), 'pgq-pglite-'))
    try {
      const dataDir = join(folder, 'data')
      const before = await PGlite.create({ dataDir, extensions: { pgq: bundleOf(release, folder) } })
      await before.exec(`CREATE EXTENSION pgq; SELECT pgq.add_job('mail', '"before"')`)
      await before.close()
      await using after = await PGlite.create({ dataDir, extensions: { pgq } })
      await after.exec(`ALTER EXTENSION pgq UPDATE; SELECT pgq.add_job('mail', '"after"')`)
      const { rows } = await after.query(`SELECT p.payload, pgq.installed_version() AS version FROM pgq.pick_jobs(ARRAY['mail'], 9) AS p`)
      expectEqual('jobs', rows, ['before', 'after'].map((payload) => ({ payload, version: CURRENT })))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}))
