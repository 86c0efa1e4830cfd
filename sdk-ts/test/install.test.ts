import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { Client, Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  fromPg, fromPglite, fromPostgresTransaction, install, installedVersion, PgQueue, uninstall, type PgqFileReader, type PostgresDb, type Queryable,
} from '../src/index.ts'
import { pgcFileReaderNode } from '../src/node.ts'
import { newDatabase } from './database-support.ts'
import { errorOf, openDb, until } from './support.ts'

/** Has no pgq. */
let url: string
let db: PostgresDb
let version: string

beforeAll(async () => {
  ;({ url, db } = await newDatabase())
  version = (await installedVersion(openDb()))!
})

/** The package as it will be two releases later: what is there now is updated in two steps. */
function laterPackage(step: (version: string) => string = versionFunction): PgqFileReader {
  const files: Record<string, string> = {
    'pgq--99.1.0.plain.sql': 'SELECT 1 / 0;',
    [`pgq--${version}--99.0.0.plain.sql`]: `CREATE TABLE @extschema@.of_99_0 (); ${versionFunction('99.0.0')}`,
    'pgq--99.0.0--99.1.0.plain.sql': `ALTER TABLE @extschema@.of_99_0 ADD COLUMN of_99_1 text; ${step('99.1.0')}`,
  }
  return { list: async () => Object.keys(files), read: async (name) => files[name]! }
}

function versionFunction(version: string): string {
  return `CREATE OR REPLACE FUNCTION @extschema@.installed_version() RETURNS text LANGUAGE sql RETURN '${version}'::text;`
}

async function works(on: Queryable, schema_name: string): Promise<void> {
  const queue = new PgQueue<{ n: number }>(on, 'q', schema_name)
  const { job_id } = await queue.addJob({ n: 1 })
  const handle = (await queue.pickNextJob())!
  expect(handle.job).toMatchObject({ job_id, payload: { n: 1 } })
  await handle.release('complete')
}

const schemaExists = async (schema_name: string): Promise<boolean> =>
  (await db.query({ q: 'SELECT FROM pg_namespace WHERE nspname = $1', args: [schema_name] })).rows.length === 1

const closers: (() => Promise<unknown>)[] = []
afterAll(() => Promise.all(closers.map((close) => close())))

describe.each<[name: string, open: () => Promise<Queryable>]>([
  ['PostgresDb', async () => db],
  ['a pool of node-postgres', async () => {
    const pool = new Pool({ connectionString: url })
    closers.push(() => pool.end())
    return fromPg(pool)
  }],
  ['a client of node-postgres', async () => {
    const client = new Client({ connectionString: url })
    await client.connect()
    closers.push(() => client.end())
    return fromPg(client)
  }],
  ['a driver without transactions', async () => fromPostgresTransaction(db.sql)],
  ['PGlite', async () => {
    const pglite = await PGlite.create()
    closers.push(() => pglite.close())
    return fromPglite(pglite)
  }],
])('with %s', (name, open) => {
  let on: Queryable
  beforeAll(async () => void (on = await open()))

  test.each(name === 'PostgresDb' ? [undefined, 'My Jobs', 'née'] : ['My Jobs'])('pgq is installed into the schema %s, once, and removed', async (schema_name) => {
    const options = schema_name === undefined ? {} : { schema_name }
    expect(await installedVersion(on, options)).toBeUndefined()
    expect(await install(pgcFileReaderNode, on, options)).toEqual({ version, previous_version: undefined })
    expect(await install(pgcFileReaderNode, on, options)).toEqual({ version, previous_version: version })
    expect(await installedVersion(on, options)).toBe(version)
    await works(on, options.schema_name ?? 'pgq')
    expect(await uninstall(on, options)).toBe(true)
    expect(await uninstall(on, options)).toBe(false)
    expect(await installedVersion(on, options)).toBeUndefined()
  })
})

test('of ten installs at once into an empty database one installs, and all succeed', async () => {
  const { url, db } = await newDatabase()
  const dbs = Array.from({ length: 10 }, () => openDb({ url }))
  const results = await Promise.all(dbs.map((each) => install(pgcFileReaderNode, each)))
  expect(results.map((result) => result.version)).toEqual(Array(10).fill(version))
  expect(results.filter((result) => result.previous_version === undefined)).toHaveLength(1)
  await works(db, 'pgq')
})

test('installs at once succeed in repeatable read too, where a transaction does not see what came meanwhile', async () => {
  const { url } = await newDatabase()
  const pools = Array.from({ length: 4 }, () => new Pool({ connectionString: url, options: '-c default_transaction_isolation=repeatable\\ read' }))
  const results = await Promise.all(pools.map((pool) => install(pgcFileReaderNode, fromPg(pool))))
  expect(results.filter((result) => result.previous_version === undefined)).toHaveLength(1)
  await Promise.all(pools.map((pool) => pool.end()))
})

describe('an install that is killed half-way', () => {
  const program = (schema_name: string): string => `
    import { install, PostgresDb } from '${resolve(import.meta.dirname, '../src/index.ts')}'
    import { pgcFileReaderNode as files } from '${resolve(import.meta.dirname, '../src/node.ts')}'
    const waits = 'SELECT pg_advisory_xact_lock(4711);\\n'
    const read = async (name) => (await files.read(name)).replace('-- extension/functions/50-add.sql', waits)
    await install({ list: files.list, read }, new PostgresDb('${url}?application_name=half-way'), { schema_name: '${schema_name}' })`

  const halfWay = async (): Promise<number | undefined> =>
    (await db.query<{ pid: number }>({ q: "SELECT pid FROM pg_stat_activity WHERE application_name = 'half-way' AND wait_event = 'advisory'" })).rows[0]?.pid

  test('leaves nothing, and the next one installs', async () => {
    const schema_name = 'killed'
    await db.transaction(async (holder) => {
      await holder.exec('SELECT pg_advisory_xact_lock(4711)')
      const victim = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program(schema_name)], { cwd: resolve(import.meta.dirname, '..') })
      const ended = new Promise((done) => victim.once('exit', (_code, signal) => done(signal)))
      const pid = await until(halfWay)
      victim.kill('SIGKILL')
      expect(await ended).toBe('SIGKILL')
      // The server has not noticed yet: it still waits for the lock.
      expect(await halfWay()).toBe(pid)
      await holder.exec(`SELECT pg_terminate_backend(${pid}, 10000)`)
    })
    expect(await schemaExists(schema_name)).toBe(false)
    expect(await install(pgcFileReaderNode, db, { schema_name })).toEqual({ version, previous_version: undefined })
    await works(db, schema_name)
  })
})

/** The versions that were released before. */
const releases = new URL('../../extension/releases/', import.meta.url)
const RELEASES = readdirSync(releases).flatMap((name) => /^pgq--([\d.]+)\.plain\.sql$/.exec(name)?.[1] ?? [])

describe('an update', () => {
  test.each(RELEASES)('from release %s keeps the jobs', async (release) => {
    const schema_name = `released as ${release}`
    const file = `pgq--${release}.plain.sql`
    await install({ list: async () => [file], read: (name) => readFile(new URL(name, releases), 'utf8') }, db, { schema_name })
    const { rows: [job] } = await db.query<{ job_id: string }>({ q: `SELECT job_id FROM "${schema_name}".add_job('q', '{"n": 7}')` })
    expect(await install(pgcFileReaderNode, db, { schema_name })).toEqual({ version, previous_version: release })
    expect(await new PgQueue(db, 'q', schema_name).getJob(Number(job!.job_id))).toMatchObject({ payload: { n: 7 }, state: 'ready' })
  })

  test('takes all steps that are missing, and keeps the jobs', async () => {
    const schema_name = 'stepped'
    await install(pgcFileReaderNode, db, { schema_name })
    const { job_id } = await new PgQueue(db, 'q', schema_name).addJob({ n: 7 })
    expect(await install(laterPackage(), db, { schema_name })).toEqual({ version: '99.1.0', previous_version: version })
    expect(await install(laterPackage(), db, { schema_name })).toEqual({ version: '99.1.0', previous_version: '99.1.0' })
    await db.exec(`INSERT INTO ${schema_name}.of_99_0 (of_99_1) VALUES ('both steps')`)
    expect(await new PgQueue(db, 'q', schema_name).getJob(job_id)).toMatchObject({ payload: { n: 7 }, state: 'ready' })
  })

  test('that fails in its last step leaves the version that was there', async () => {
    const schema_name = 'failing'
    await install(pgcFileReaderNode, db, { schema_name })
    const error = await errorOf(install(laterPackage(() => 'SELECT 1 / 0;'), db, { schema_name }), 'invalid_argument')
    expect(error.message).toMatch(/division by zero/)
    expect(await installedVersion(db, { schema_name })).toBe(version)
    await works(db, schema_name)
  })

  test('done by five at once is done once', async () => {
    const schema_name = 'stepped together'
    await install(pgcFileReaderNode, db, { schema_name })
    const results = await Promise.all(Array.from({ length: 5 }, () => install(laterPackage(), openDb({ url }), { schema_name })))
    expect(results.map((result) => result.previous_version).sort()).toEqual([version, ...Array(4).fill('99.1.0')])
  })

  test('is refused from a version that no step leads from', async () => {
    const schema_name = 'left behind'
    await install(pgcFileReaderNode, db, { schema_name })
    await db.exec(versionFunction('0.0.1').replace('@extschema@', `"${schema_name}"`))
    const error = await errorOf(install(pgcFileReaderNode, db, { schema_name }), 'wrong_state')
    expect(error.message).toBe(`This package has no way from pgq 0.0.1 to ${version}`)
  })
})

test('an install in a transaction of the caller is undone with it', async () => {
  const schema_name = 'undone'
  await expect(db.transaction(async (transaction) => {
    await install(pgcFileReaderNode, transaction, { schema_name })
    await works(transaction, schema_name)
    throw new Error('undo')
  })).rejects.toThrow('undo')
  expect(await schemaExists(schema_name)).toBe(false)
})

describe('a schema', () => {
  test('that is newer than the package is left alone', async () => {
    const schema_name = 'newer'
    await install(pgcFileReaderNode, db, { schema_name })
    await install(laterPackage(), db, { schema_name })
    const error = await errorOf(install(pgcFileReaderNode, db, { schema_name }), 'wrong_state')
    expect(error.message).toBe(`The schema "newer" has pgq 99.1.0, newer than this package (${version}): update the package`)
  })

  test('that holds something else is left alone', async () => {
    const schema_name = 'foreign'
    await db.exec(`CREATE SCHEMA "${schema_name}"; CREATE TABLE "${schema_name}".job (n int)`)
    for (const work of [() => install(pgcFileReaderNode, db, { schema_name }), () => uninstall(db, { schema_name })]) {
      const error = await errorOf(work, 'wrong_state')
      expect(error.message).toBe('Expected schema "foreign" to be empty or to hold pgq, but it holds something else: choose another schema_name')
    }
    expect(await installedVersion(db, { schema_name })).toBeUndefined()
    expect(await schemaExists(schema_name)).toBe(true)
  })

  test('that holds another extension is left alone', async () => {
    const schema_name = 'theirs'
    await db.exec(`CREATE SCHEMA "${schema_name}"; CREATE EXTENSION pgtap SCHEMA "${schema_name}"`)
    const error = await errorOf(install(pgcFileReaderNode, db, { schema_name }), 'wrong_state')
    expect(error.message).toContain('it holds another extension, pgtap')
  })

  test('of the extension pgq is left to the extension', async () => {
    for (const work of [() => install(pgcFileReaderNode, openDb()), () => uninstall(openDb())]) {
      const error = await errorOf(work, 'wrong_state')
      expect(error.message).toBe(
        `The schema "pgq" belongs to the extension pgq, in version ${version}: ALTER EXTENSION pgq UPDATE updates it, DROP EXTENSION pgq removes it`)
    }
    expect(await installedVersion(openDb())).toBe(version)
  })

  test('that is there and empty is filled', async () => {
    const schema_name = 'empty'
    await db.exec(`CREATE SCHEMA "${schema_name}"`)
    expect(await install(pgcFileReaderNode, db, { schema_name })).toMatchObject({ version })
  })

  test.each(['', "it's", 'a"b', 'a$$b', 'back\\slash', 'x'.repeat(64), 'é'.repeat(32)])('cannot be named %s', async (schema_name) => {
    await errorOf(install(pgcFileReaderNode, db, { schema_name }), 'invalid_argument')
  })
})

test('a reader of another folder is refused', async () => {
  const error = await errorOf(install({ list: async () => ['a.sql'], read: async () => '' }, db), 'invalid_argument')
  expect(error.message).toMatch(/^Expected `reader` to be a reader of the folder sql of this package/)
})

test('a role without access cannot ask for the version, one with any access can', async () => {
  const schema_name = 'asked'
  await install(pgcFileReaderNode, db, { schema_name })
  await db.exec(`CREATE ROLE asker_${process.pid}`)
  const asAsker = (): Promise<string | undefined> => db.transaction(async (transaction) => {
    await transaction.exec(`SET LOCAL ROLE asker_${process.pid}`)
    return installedVersion(transaction, { schema_name })
  })
  await errorOf(asAsker(), 'access_denied')
  await db.exec(`SELECT "${schema_name}".grant_access('asker_${process.pid}', 'observer')`)
  expect(await asAsker()).toBe(version)
  await db.exec(`DROP OWNED BY asker_${process.pid}; DROP ROLE asker_${process.pid}`)
})
