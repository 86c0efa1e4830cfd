/** What belongs to others: objects of the user's that depend on ours, another extension named pgq, and what was there before. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ownMajor } from '../../support/postgres.ts'
import type { Check } from '../check.ts'
import { expectEqual, expectError, expectMatch, expectSame } from '../expect.ts'
import { createExtension, emptyDatabase, factsOf, fill, plainScript, type Installation } from '../installation.ts'
import { RELEASES } from './alike.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
const oldest = RELEASES[0]!

/** All objects of a database that initdb has not made, and what could be left of others. */
const objectsOf = (made: Installation): string[] => made.sql(`
  SET search_path = '';
  SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, c.oid, 0) FROM pg_catalog.pg_class AS c
  WHERE c.oid >= 16384 AND c.relnamespace <> 'pg_toast'::regnamespace
  UNION ALL SELECT pg_catalog.pg_describe_object('pg_catalog.pg_proc'::regclass, p.oid, 0) FROM pg_catalog.pg_proc AS p WHERE p.oid >= 16384
  UNION ALL SELECT pg_catalog.pg_describe_object('pg_catalog.pg_type'::regclass, t.oid, 0) FROM pg_catalog.pg_type AS t WHERE t.oid >= 16384
  UNION ALL SELECT 'schema ' || n.nspname FROM pg_catalog.pg_namespace AS n
  UNION ALL SELECT 'extension ' || e.extname FROM pg_catalog.pg_extension AS e
  UNION ALL SELECT 'default privileges ' || d.defaclacl::text FROM pg_catalog.pg_default_acl AS d
  UNION ALL SELECT 'initial privileges of ' || i.objoid FROM pg_catalog.pg_init_privs AS i WHERE i.privtype = 'e' AND i.objoid >= 16384
  UNION ALL SELECT 'dependency on role ' || s.refobjid::regrole FROM pg_catalog.pg_shdepend AS s
  WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())`).trim().split('\n')

const uninstalled: readonly Check[] = [
  {
    title: 'DROP EXTENSION leaves nothing but an empty schema behind, after an upgrade and with 10 000 jobs',
    run({ cluster }) {
      const made = emptyDatabase(cluster)
      const before = objectsOf(made)
      made.sql(`CREATE EXTENSION pgq VERSION '${oldest}'`)
      fill(made)
      // The second fails if the schema is not empty.
      made.sql('ALTER EXTENSION pgq UPDATE; DROP SCHEMA vault CASCADE; DROP EXTENSION pgq; DROP SCHEMA pgq')
      expectSame('objects', objectsOf(made), before)
    },
  },
  {
    title: 'DROP SCHEMA CASCADE leaves nothing of plain SQL behind',
    run({ cluster }) {
      const made = emptyDatabase(cluster, 'My Jobs')
      const before = objectsOf(made)
      made.sql(`BEGIN; ${plainScript('extension/pgq.plain.sql', 'My Jobs')}; COMMIT`)
      fill(made)
      made.sql('DROP SCHEMA vault CASCADE; DROP SCHEMA "My Jobs" CASCADE')
      expectSame('objects', objectsOf(made), before)
    },
  },
]

const dependents: readonly Check[] = [
  {
    title: 'views, functions and tables of the user that use ours go on after an upgrade',
    run({ cluster }) {
      const made = createExtension(cluster, oldest)
      made.sql(`
        SELECT pgq.add_job('mail', '1');
        CREATE VIEW public.one_job AS SELECT * FROM pgq.get_job(1);
        CREATE VIEW public.figures AS SELECT s.queue_name, s.ready FROM pgq.queue_stats() AS s;
        CREATE FUNCTION public.states() RETURNS SETOF pgq.job_status LANGUAGE sql AS 'SELECT * FROM pgq.get_jobs(ARRAY[1])';
        CREATE FUNCTION public.states_by_standard() RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC SELECT j.state FROM pgq.get_jobs(ARRAY[1]) AS j; END;
        CREATE TABLE public.seen (job pgq.job_status);
        INSERT INTO public.seen SELECT pgq.get_job(1);
        ALTER EXTENSION pgq UPDATE;
        INSERT INTO public.seen SELECT pgq.get_job(1)`)
      expectEqual('what they give', made.sql(`
        SELECT (SELECT state FROM public.one_job), (SELECT ready FROM public.figures), (SELECT state FROM public.states()),
               (SELECT * FROM public.states_by_standard()), (SELECT count((s.job).state) FROM public.seen AS s)`).trim(), 'ready|1|ready|ready|2')
    },
  },
]

const obstacles: readonly Check[] = [
  {
    title: 'a view that calls a function which gets parameters is named and not dropped: the upgrade says what to do, and changes nothing',
    run({ cluster }) {
      const made = createExtension(cluster, '0.1.0')
      const create = `CREATE VIEW public.adder AS SELECT * FROM pgq.add_job('mail', '1')`
      made.sql(create)
      const before = [...factsOf(made), ...objectsOf(made)]
      expectError(/objects of yours stand in the way of the upgrade: [^]*view public\.adder[^]*drop them, upgrade, and make them anew/,
        () => made.sql('ALTER EXTENSION pgq UPDATE'))
      expectSame('catalog', [...factsOf(made), ...objectsOf(made)], before)
      made.sql(`DROP VIEW public.adder; ALTER EXTENSION pgq UPDATE; ${create}`)
    },
  },
]

/** Skytools PgQ, as far as a mix-up could reach. */
const FOREIGN = `
  CREATE SCHEMA pgq;
  CREATE TABLE pgq.queue (queue_id serial, queue_name text);
  CREATE FUNCTION pgq.create_queue(name text) RETURNS integer LANGUAGE sql AS 'SELECT 1';`

const foreign: readonly Check[] = [
  {
    title: 'a schema pgq that holds something else is refused, by the extension and by plain SQL, and stays as it is',
    run({ cluster }) {
      const made = emptyDatabase(cluster)
      made.sql(FOREIGN)
      const before = objectsOf(made)
      const refused = /schema pgq exists and is not empty[^]*Skytools PgQ[^]*into another one/
      expectError(refused, () => made.sql('CREATE EXTENSION pgq'))
      expectError(refused, () => made.sql(`BEGIN; ${plainScript('extension/pgq.plain.sql', 'pgq')}; COMMIT`))
      expectSame('objects', objectsOf(made), before)
      made.sql(`BEGIN; ${plainScript('extension/pgq.plain.sql', 'My Jobs')}; COMMIT`)
      expectEqual('a job beside it', made.sql(`SELECT is_new FROM "My Jobs".add_job('mail', '1')`).trim(), 't')
    },
  },
  {
    title: 'make install and make uninstall leave the control file of another extension named pgq alone',
    run({ major }) {
      if (major !== ownMajor()) return 'skipped: no build files'
      const DESTDIR = mkdtempSync(join(tmpdir(), 'pgq-destdir-'))
      try {
        const make = (target: string): { status: number | null; stderr: string } => {
          const { status, stderr } = spawnSync('make', ['-s', target], { cwd: ROOT, encoding: 'utf8', env: { ...process.env, DESTDIR } })
          return { status, stderr }
        }
        const own = spawnSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--sharedir'], { encoding: 'utf8' }).stdout.trim()
        const there = join(DESTDIR, own, 'extension')
        mkdirSync(there, { recursive: true })
        const control = `comment = 'Generic queue for PostgreSQL'\ndefault_version = '3.5.1'\nrelocatable = false\n`
        writeFileSync(join(there, 'pgq.control'), control)
        for (const target of ['install', 'uninstall']) {
          const { status, stderr } = make(target)
          expectEqual('exit status', status, 2)
          expectMatch('message', stderr, /belongs to another extension named pgq[^]*Generic queue for PostgreSQL[^]*plain SQL/)
        }
        expectEqual('the folder', readdirSync(there), ['pgq.control'])
        expectEqual('the control file', readFileSync(join(there, 'pgq.control'), 'utf8'), control)
        rmSync(join(there, 'pgq.control'))
        for (const target of ['install', 'install', 'uninstall']) expectEqual(`make ${target}`, make(target), { status: 0, stderr: '' })
        expectEqual('what make uninstall leaves', readdirSync(there), [])
      } finally {
        rmSync(DESTDIR, { recursive: true, force: true })
      }
    },
  },
]

export const neighbours: readonly Check[] = [...uninstalled, ...dependents, ...obstacles, ...foreign]
