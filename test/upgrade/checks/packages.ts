/** Packages that others carry: the zip of PGXN, the file for pg_tle, the folder for database.dev. */
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ownMajor, serverFolder } from '../../support/postgres.ts'
import type { Check, Server } from '../check.ts'
import { expectEqual, expectMatch, expectSame } from '../expect.ts'
import { CURRENT, emptyDatabase, extensionFactsOf, factsOf } from '../installation.ts'
import { freshExtension, RELEASES } from './alike.ts'
import { metaProblems } from '../pgxn-meta.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
const BUILD = resolve(ROOT, 'extension/build')

const make = (target: string): void => void execFileSync('make', ['-s', target], { cwd: ROOT, stdio: 'ignore' })

const hasProgram = (name: string): boolean => spawnSync(name, ['--help'], { stdio: 'ignore' }).error === undefined

const meta: Check = {
  title: 'META.json is as the PGXN Meta Spec wants it',
  run({ major }) {
    if (major !== ownMajor()) return 'skipped: it is the same'
    expectEqual('problems', metaProblems(JSON.parse(readFileSync(resolve(ROOT, 'META.json'), 'utf8')), ROOT), [])
  },
}

const pgxn: Check = {
  title: 'pgxnclient installs, checks and removes the zip of make dist',
  run({ major, cluster }) {
    if (major !== ownMajor()) return 'skipped: no build files'
    if (!hasProgram('pgxn')) return 'skipped: no pgxnclient'
    make('dist')
    const DESTDIR = mkdtempSync(join(tmpdir(), 'pgq-pgxn-'))
    const pg_config = process.env['PG_CONFIG'] ?? 'pg_config'
    const zip = join(BUILD, `pgqueue-${CURRENT}.zip`)
    // It installs into DESTDIR, which needs no rights: env stands for sudo.
    const pgxn = (command: string, env: NodeJS.ProcessEnv): string => {
      const { status, stdout, stderr } = spawnSync('pgxn', [command, '--yes', '--pg_config', pg_config, ...(command === 'check' ? [] : ['--sudo', 'env']), zip], {
        cwd: DESTDIR, encoding: 'utf8', env: { ...process.env, ...env },
      })
      if (status !== 0) throw new Error(`pgxn ${command}: ${stdout}${stderr}`)
      return stdout
    }
    try {
      const sharedir = execFileSync(pg_config, ['--sharedir'], { encoding: 'utf8' }).trim()
      const extension_dir = join(DESTDIR, sharedir, 'extension')
      pgxn('install', { DESTDIR })
      expectSame('installed files', readdirSync(extension_dir),
        ['pgq.control', `pgq--${CURRENT}.sql`, 'pgq--from_plain.sql', `pgq--from_plain--${CURRENT}.sql`, `pgq--${CURRENT}--to_plain.sql`,
          ...RELEASES.flatMap((release) => [`pgq--${release}.sql`, `pgq--${release}--${CURRENT}.sql`])])
      pgxn('uninstall', { DESTDIR })
      expectSame('files left', readdirSync(extension_dir), [])
      // One of the tests is enough to see that they run from the zip.
      const printed = pgxn('check', {
        MAKEFLAGS: 'REGRESS=00-base ISOLATION=add', PGHOST: cluster.host, PGPORT: `${cluster.port}`, PGUSER: 'postgres',
      })
      expectMatch('what pgxn check prints', printed, /00-base[^]*ok[^]*add[^]*ok/)
    } finally {
      rmSync(DESTDIR, { recursive: true, force: true })
    }
  },
}

/** pg_tle's functions, as far as our file calls them: what it is given is kept as the files that CREATE EXTENSION reads. */
const PGTLE_DOUBLE = (has_schema: boolean): string => `
  CREATE SCHEMA pgtle;
  CREATE TABLE pgtle.file (name text PRIMARY KEY, content text);
  CREATE FUNCTION pgtle.install_extension(name text, version text, description text, ext text, requires text[] DEFAULT NULL${has_schema ? ', schema text DEFAULT NULL' : ''})
  RETURNS boolean LANGUAGE sql BEGIN ATOMIC
    INSERT INTO pgtle.file VALUES ('control', format(E'comment = %L\\ndefault_version = %L\\nrelocatable = false\\nsuperuser = false\\n', $3, $2)${has_schema ? ` || format(E'schema = %L\\n', $6)` : ''});
    INSERT INTO pgtle.file VALUES ('--' || $2, $4) RETURNING true;
  END;
  CREATE FUNCTION pgtle.install_update_path(name text, fromvers text, tovers text, ext text)
  RETURNS boolean LANGUAGE sql BEGIN ATOMIC
    INSERT INTO pgtle.file VALUES (format('--%s--%s', $2, $3), $4) RETURNING true;
  END;
  CREATE FUNCTION pgtle.set_default_version(name text, version text) RETURNS boolean LANGUAGE sql BEGIN ATOMIC
    UPDATE pgtle.file AS f SET content = regexp_replace(f.content, '(?<=default_version = '').*?(?='')', $2) WHERE f.name = 'control' RETURNING true;
  END;
  CREATE FUNCTION pgtle.available_extensions() RETURNS TABLE (name name) LANGUAGE sql BEGIN ATOMIC
    SELECT 'pgq'::name FROM pgtle.file AS f WHERE f.name = 'control';
  END;
  CREATE FUNCTION pgtle.extension_update_paths(name name, OUT source text, OUT target text, OUT path text) RETURNS SETOF record LANGUAGE sql BEGIN ATOMIC
    SELECT split_part(f.name, '--', 2), split_part(f.name, '--', 3), f.name FROM pgtle.file AS f WHERE f.name LIKE '--%--%';
  END;`

/** Puts files where the server looks for extensions: in the copy that this run has made of it. */
function withExtensionFiles<Result>(major: number, files: ReadonlyMap<string, string>, work: () => Result): Result {
  const folder = join(serverFolder(major), '../share/postgresql/extension')
  const kept = mkdtempSync(join(tmpdir(), 'pgq-kept-'))
  const ours = readdirSync(folder).filter((name) => /^pgq(--|\.control$)/.test(name))
  for (const name of ours) {
    copyFileSync(join(folder, name), join(kept, name))
    rmSync(join(folder, name))
  }
  try {
    for (const [name, content] of files) writeFileSync(join(folder, name), content)
    return work()
  } finally {
    for (const name of files.keys()) rmSync(join(folder, name))
    for (const name of ours) copyFileSync(join(kept, name), join(folder, name))
    rmSync(kept, { recursive: true })
  }
}

/** The files that the double was given, by the names that CREATE EXTENSION looks for. */
function filesOffered({ sql }: ReturnType<typeof emptyDatabase>): Map<string, string> {
  const given = JSON.parse(sql(`SELECT jsonb_object_agg(f.name, f.content) FROM pgtle.file AS f`)) as Record<string, string>
  return new Map(Object.entries(given).map(([name, content]) => [name === 'control' ? 'pgq.control' : `pgq${name}.sql`, content]))
}

const tle = [true, false].map((has_schema): Check => ({
  title: `the file for pg_tle ${has_schema ? '1.5' : '1.4'} offers what make install installs`,
  run(server) {
    if (server.major === ownMajor()) return 'skipped: not a copy'
    make('tle')
    const offered = offer(server, has_schema)
    expectSame('files', [...offered.keys()], ['pgq.control', `pgq--${CURRENT}.sql`, ...RELEASES.slice(-1).map((release) => `pgq--${release}--${CURRENT}.sql`)])
    expectSameExtension(server, offered, has_schema ? 'CREATE EXTENSION pgq' : 'CREATE SCHEMA pgq; CREATE EXTENSION pgq SCHEMA pgq')
  },
}))

/** Runs our file twice, as a second version of it would be: the second time changes nothing. */
function offer({ cluster }: Server, has_schema: boolean): Map<string, string> {
  const database = emptyDatabase(cluster)
  database.sql(PGTLE_DOUBLE(has_schema))
  const file = `BEGIN; ${readFileSync(join(BUILD, 'pgq.tle.sql'), 'utf8')} COMMIT;`
  database.sql(file)
  const offered = filesOffered(database)
  database.sql(file)
  expectEqual('files after the second time', [...filesOffered(database)], [...offered])
  return offered
}

function expectSameExtension({ major, cluster }: Server, files: ReadonlyMap<string, string>, create: string): void {
  const fresh = freshExtension(cluster)
  withExtensionFiles(major, files, () => {
    const made = emptyDatabase(cluster)
    made.sql(create)
    expectSame('catalog', factsOf(made), factsOf(fresh))
    expectSame('extension', extensionFactsOf(made).filter((line) => line !== 'member | schema pgq'),
      extensionFactsOf(fresh).filter((line) => line !== 'member | schema pgq'))
  })
}

const dbdev: Check = {
  title: 'the folder for database.dev has what make install installs, in files that it takes',
  run(server) {
    if (server.major === ownMajor()) return 'skipped: not a copy'
    make('dbdev')
    const folder = join(BUILD, 'dbdev/pgq')
    const names = readdirSync(folder)
    if (!existsSync(join(folder, 'README.md'))) throw new Error('there is no README.md')
    // One control file; scripts named by versions of three numbers.
    expectSame('files', names.filter((name) => !/^(README\.md|pgq\.control|pgq--\d+\.\d+\.\d+(--\d+\.\d+\.\d+)?\.sql)$/.test(name)), [])
    const files = new Map(names.filter((name) => name !== 'README.md').map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
    expectSame('commands for psql', [...files.values()].flatMap((content) => content.match(/^\\.*$/gm) ?? []), [])
    expectSameExtension(server, files, 'CREATE EXTENSION pgq')
  },
}

export const packages: readonly Check[] = [meta, pgxn, ...tle, dbdev]
