/** What a schema holds: nothing, pgq, or something else. Mirrors installed_version() of functions/00-base.sql. */
import { PgqError } from './errors.ts'
import type { Queryable } from './queryable.ts'
import { callOne, quoteName } from './sql-call.ts'

/** What is in a schema. */
export interface SchemaState {
  /** The version of pgq in it; null where there is none. */
  readonly version: string | null
  /** Whether something is in it that is not pgq. */
  readonly is_foreign: boolean
  /** The extension that what is in it belongs to; null for plain SQL. */
  readonly extension: string | null
}

// By the catalog, because the shorter ways, such as to_regclass, raise where the schema may not be used.
const LOOK = `
WITH place AS (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1),
     class AS (SELECT c.oid, c.relname FROM pg_catalog.pg_class AS c JOIN place ON place.oid = c.relnamespace),
     proc AS (SELECT p.oid, p.proname, p.pronargs FROM pg_catalog.pg_proc AS p JOIN place ON place.oid = p.pronamespace)
SELECT pg_catalog.json_build_object(
    'is_empty', NOT EXISTS (SELECT FROM class) AND NOT EXISTS (SELECT FROM proc),
    'is_pgq', (SELECT pg_catalog.count(*) FROM proc WHERE proc.proname IN ('installed_version', 'error_codes') AND proc.pronargs = 0) = 2
          AND (SELECT pg_catalog.count(*) FROM class WHERE class.relname IN ('job', 'error_code')) = 2,
    'extension', (SELECT e.extname
                  FROM pg_catalog.pg_depend AS d
                  JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
                  WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
                    AND ((d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid IN (SELECT class.oid FROM class))
                      OR (d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid IN (SELECT proc.oid FROM proc)))
                  LIMIT 1))::text`

/** Looks at a schema. */
export async function lookAtSchema(db: Queryable, schema_name: string): Promise<SchemaState> {
  const { is_empty, is_pgq, extension } = await callOne<{ is_empty: boolean; is_pgq: boolean; extension: string | null }>(db, LOOK, [schema_name])
  const version = is_pgq ? await callOne<string>(db, `SELECT pg_catalog.to_json(${quoteName(schema_name)}.installed_version())::text`, []) : null
  return { version, is_foreign: !is_empty && !is_pgq, extension }
}

/** Refuses a schema that is not pgq's plain SQL, or not empty. */
export function expectPlainOrEmpty(schema_name: string, { is_foreign, extension, version }: SchemaState): void {
  const name = `schema ${quoteName(schema_name)}`
  if (is_foreign) {
    const whose = extension === null ? 'something else' : `another extension, ${extension}`
    const which = extension === 'pgq' ? ' (Skytools PgQ)' : ''
    throw new PgqError('wrong_state', `Expected ${name} to be empty or to hold pgq, but it holds ${whose}${which}: choose another schema_name`)
  }
  if (extension !== null) {
    throw new PgqError('wrong_state', `The ${name} belongs to the extension ${extension}, in version ${version}: ALTER EXTENSION ${extension} UPDATE updates it, DROP EXTENSION ${extension} removes it`)
  }
}
