/** Installs, updates and removes pgq as plain SQL. Mirrors extension/pgq.plain.sql. */
import { toPgqError, PgqError } from './errors.ts'
import { compareVersions, openPlainSql, schemaInSql, uninstallScript, type PgqFileReader } from './install-script.ts'
import { expectPlainOrEmpty, lookAtSchema, type SchemaState } from './install-state.ts'
import type { Queryable } from './queryable.ts'
import { DEFAULT_SCHEMA, quoteName } from './sql-call.ts'

/** Where pgq lives. */
export interface InstallOptions {
  /** @default DEFAULT_SCHEMA */
  readonly schema_name?: string
}

/** What `install` has done. */
export interface Installed {
  /** The version that the schema has now. */
  readonly version: string
  /** The version that it had before; undefined if pgq was not there. */
  readonly previous_version: string | undefined
}

/**
 * Puts pgq into a schema, or brings what is there to the version of this package; does nothing when it is there already.
 * Call it whenever your program starts, in any number of processes at once: one of them installs, the others wait for it.
 *
 * All is one transaction (yours, if `db` is one), so what breaks half-way leaves nothing. Rejects with `wrong_state` when
 * the schema holds something else, belongs to the extension pgq, or is newer than this package.
 *
 * ```ts
 * import { install, PostgresDb } from 'pgq'
 * import { pgcFileReaderNode } from 'pgq/node'
 *
 * await install(pgcFileReaderNode, new PostgresDb(url), { schema_name: 'my_jobs' })
 * ```
 */
export async function install(
  reader: PgqFileReader, db: Queryable, { schema_name = DEFAULT_SCHEMA }: InstallOptions = {},
): Promise<Installed> {
  const sql = await openPlainSql(reader)
  schemaInSql(schema_name)
  let state = await lookAtSchema(db, schema_name)
  for (;;) {
    expectPlainOrEmpty(schema_name, state)
    const previous_version = state.version ?? undefined
    if (previous_version !== undefined) {
      const order = compareVersions(previous_version, sql.version)
      if (order === 0) return { version: sql.version, previous_version }
      if (order > 0) {
        throw new PgqError('wrong_state', `The schema ${quoteName(schema_name)} has pgq ${previous_version}, newer than this package (${sql.version}): update the package`)
      }
    }
    try {
      // A script in one message is one transaction, whichever the driver and the pooler.
      await db.exec(await sql.script(schema_name, previous_version))
      return { version: sql.version, previous_version }
    } catch (error) {
      state = await changedState(db, schema_name, state, error)
    }
  }
}

/** What another process has made of the schema meanwhile; if it has not, the error is our own. */
async function changedState(db: Queryable, schema_name: string, before: SchemaState, error: unknown): Promise<SchemaState> {
  const now = await lookAtSchema(db, schema_name).catch(() => before)
  if (now.version === before.version) throw toPgqError(error)
  return now
}

/**
 * Removes pgq, with all jobs: drops the schema and all that is in it. Gives false when there is no such schema.
 * Rejects with `wrong_state` when it holds something else, or belongs to the extension pgq.
 */
export async function uninstall(db: Queryable, { schema_name = DEFAULT_SCHEMA }: InstallOptions = {}): Promise<boolean> {
  const script = uninstallScript(schema_name)
  const state = await lookAtSchema(db, schema_name)
  expectPlainOrEmpty(schema_name, state)
  if (state.version === null) return false
  try {
    await db.exec(script)
  } catch (error) {
    throw toPgqError(error)
  }
  return true
}

/**
 * The version of the SQL that is installed, for health checks; undefined when there is none. Extension or plain SQL,
 * the database role needs any access to it.
 */
export async function installedVersion(db: Queryable, { schema_name = DEFAULT_SCHEMA }: InstallOptions = {}): Promise<string | undefined> {
  return (await lookAtSchema(db, schema_name)).version ?? undefined
}
