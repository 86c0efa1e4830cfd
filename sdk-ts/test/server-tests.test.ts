import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { makeInstallCommand } from '../src/cli/install-command.ts'
import { install, PgQueue, type PostgresDb } from '../src/index.ts'
import { pgcFileReaderNode } from '../src/node.ts'
import { newDatabase } from './database-support.ts'

/** The tests that pgq-install writes for the user's own server, run by pg_prove, as the user would. */
const HAS_PG_PROVE = spawnSync('pg_prove', ['--version']).status === 0
if (!HAS_PG_PROVE) console.warn('skipped: these tests need pg_prove (Debian package libtap-parser-sourcehandler-pgtap-perl), which is not installed')

const psql = join(execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--bindir'], { encoding: 'utf8' }).trim(), 'psql')
const folder = mkdtempSync(join(tmpdir(), 'pgq-server-tests-'))
afterAll(() => rmSync(folder, { recursive: true }))
beforeAll(async () => {
  const printed = vi.spyOn(console, 'log').mockImplementation(() => {})
  for (const schema of ['pgq', 'My Jobs']) {
    await makeInstallCommand(new Command()).parseAsync(['--root', folder, '--schema', schema, '--no-migrations', '--tests', '.', '--yes'], { from: 'user' })
  }
  printed.mockRestore()
})

async function prove(url: string, file: string): Promise<{ passes: boolean; output: string }> {
  return new Promise((done) => {
    execFile('pg_prove', ['--psql-bin', psql, '-d', url, '--failures', '--comments', join(folder, file)], (error, stdout, stderr) =>
      done({ passes: error === null, output: stdout + stderr }))
  })
}

/** What is in the schemas of pgq, to be compared before and after. */
async function contents(db: PostgresDb): Promise<unknown> {
  const { rows } = await db.query<{ tables: string }>({
    q: `SELECT n.nspname || '.' || c.relname AS name, query_to_xml(format('SELECT count(*) FROM %s', c.oid::regclass), false, true, '')::text AS rows
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname IN ('pgq', 'My Jobs') ORDER BY 1`,
  })
  return rows
}

describe.skipIf(!HAS_PG_PROVE)('the tests of the own server', { timeout: 60_000 }, () => {
  test.each<[name: string, file: string, setUp: (db: PostgresDb) => Promise<unknown>]>([
    ['the extension', 'pgq.test.sql', (db) => db.exec('CREATE EXTENSION pgq')],
    ['plain SQL in "My Jobs", with pgTAP in a schema that is in no search_path', 'pgq_my_jobs.test.sql', async (db) => {
      await db.exec('CREATE SCHEMA tap; CREATE EXTENSION pgtap SCHEMA tap')
      await install(pgcFileReaderNode, db, { schema_name: 'My Jobs' })
    }],
    ['a server with Vault and a list of allowed hosts', 'pgq.test.sql', async (db) => {
      await install(pgcFileReaderNode, db)
      await db.exec(readFileSync(resolve(import.meta.dirname, '../../test/support/vault.sql'), 'utf8'))
      await db.exec("SELECT pgq.allow_endpoint_host('only.example.org')")
    }],
  ])('pass on %s, beside live jobs, and leave nothing', async (_name, file, setUp) => {
    const { url, db } = await newDatabase()
    await setUp(db)
    const queue = new PgQueue(db, 'live', file === 'pgq.test.sql' ? 'pgq' : 'My Jobs')
    await queue.addJobs([{}, {}, {}])
    await queue.pickNextJob()
    const before = await contents(db)
    const { passes, output } = await prove(url, file)
    expect(passes, output).toBe(true)
    expect(output).toMatch(/Tests=47/)
    expect(await contents(db)).toEqual(before)
  })

  test.each<[what: string, breakage: string, failing: string]>([
    ['a function is missing', 'DROP FUNCTION pgq.redrive_jobs', 'no function is missing'],
    ['an internal function is missing', 'DROP FUNCTION pgq._purge_native_runs', 'no function is missing'],
    ['an index is missing', 'DROP INDEX pgq.job_group_idx', 'no table, index or type is missing'],
    ['an index is not in use', "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'pgq.job_ready_idx'::regclass", 'every index is in use'],
    ['everybody may call a function', 'GRANT EXECUTE ON FUNCTION pgq.add_job TO PUBLIC', "no function is everybody's"],
    ['everybody may read a table', 'GRANT SELECT ON pgq.job TO PUBLIC', 'no table is granted to anyone'],
    ['a function does not pin its search_path', 'ALTER FUNCTION pgq.cancel_job RESET search_path', 'pins its search_path'],
    ['the version is another', "CREATE OR REPLACE FUNCTION pgq.installed_version() RETURNS text LANGUAGE sql RETURN '0.0.1'::text", 'the version is'],
    ['the clock stands still', "CREATE OR REPLACE FUNCTION pgq._now() RETURNS timestamptz LANGUAGE sql RETURN '2030-01-01'::timestamptz", 'when its lease is over'],
    ['history is not kept', "ALTER TABLE pgq.queue ALTER COLUMN keep_history SET DEFAULT 'none'", 'history is not kept any more'],
    ['every lease has one token', `
      CREATE FUNCTION pgq.always_1() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.lease_token := 1; RETURN NEW; END $$;
      CREATE TRIGGER always_1 BEFORE UPDATE ON pgq.job FOR EACH ROW EXECUTE FUNCTION pgq.always_1()`, 'no other lease may release it'],
    ['there is no pgq', 'DROP SCHEMA pgq CASCADE', 'does not exist'],
  ])('fail when %s', async (_what, breakage, failing) => {
    const { url, db } = await newDatabase()
    await install(pgcFileReaderNode, db)
    await db.exec(breakage)
    const { passes, output } = await prove(url, 'pgq.test.sql')
    expect(passes, output).toBe(false)
    expect(output).toMatch(failing)
  })
})
