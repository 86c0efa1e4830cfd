/**
 * The plain SQL that this package carries, and the script that takes a schema from one version to another.
 * Mirrors extension/pgq.plain.sql and the steps pgq--A--B.plain.sql.
 */
import { PgqError } from './errors.ts'
import { refuse } from './expect.ts'
import { DEFAULT_SCHEMA, quoteName } from './sql-call.ts'

/**
 * Reads the SQL that comes with this package, from wherever it is kept. `pgcFileReaderNode` of `pgq/node` reads the folder
 * `dist/sql` of the package; elsewhere give the same files in your own way.
 */
export interface PgqFileReader {
  /** The names of the files, such as `pgq--0.1.0.plain.sql`. */
  list(): Promise<readonly string[]>
  /** The text of one of them. */
  read(file_name: string): Promise<string>
}

/** The files of the plain SQL, by what they do. */
export interface PlainSql {
  /** The version that the package installs. */
  readonly version: string
  /** Takes a schema from `from` (undefined: there is nothing) to `version`, as the script of one transaction. */
  script(schema_name: string, from: string | undefined): Promise<string>
}

const FRESH = /^pgq--(\d+\.\d+\.\d+)\.plain\.sql$/
const STEP = /^pgq--(\d+\.\d+\.\d+)--(\d+\.\d+\.\d+)\.plain\.sql$/

/** Looks at the files, and reads none yet. */
export async function openPlainSql(reader: PgqFileReader): Promise<PlainSql> {
  const names = await reader.list()
  const [fresh, ...others] = names.filter((name) => FRESH.test(name))
  const version = FRESH.exec(fresh ?? '')?.[1]
  if (fresh === undefined || version === undefined || others.length > 0) {
    refuse('reader', 'a reader of the folder sql of this package, which has one file pgq--VERSION.plain.sql', names.join(', '))
  }
  return {
    version,
    async script(schema_name, from) {
      const files = from === undefined ? [fresh] : stepsBetween(names, from, version)
      const texts = await Promise.all(files.map((name) => reader.read(name)))
      const schema = schemaInSql(schema_name)
      return [guard(schema, from), ...texts.map((text) => text.replaceAll('@extschema@', () => schema))].join('\n')
    },
  }
}

/** The files that lead from one version to another, by the shortest way, as `ALTER EXTENSION … UPDATE` finds it. */
function stepsBetween(names: readonly string[], from: string, to: string): string[] {
  const ways = new Map<string, readonly string[]>([[from, []]])
  for (const [version, way] of ways) {
    if (version === to) return [...way]
    for (const name of names) {
      const [, start, end] = STEP.exec(name) ?? []
      if (start === version && end !== undefined && !ways.has(end)) ways.set(end, [...way, name])
    }
  }
  throw new PgqError('wrong_state', `This package has no way from pgq ${from} to ${to}`)
}

/** Negative when `a` is the older version, positive when it is the newer one. */
export function compareVersions(a: string, b: string): number {
  const [numbers, others] = [a, b].map((version) => version.split('.').map(Number)) as [number[], number[]]
  const differing = numbers.findIndex((number, place) => number !== others[place])
  return differing < 0 ? 0 : numbers[differing]! - (others[differing] ?? 0)
}

/**
 * A schema name as the scripts have it in place of `@extschema@`: there it stands in strings and in bodies of functions too, so
 * Postgres refuses the same characters for an extension.
 */
export function schemaInSql(schema_name: string): string {
  if (/["$'\\]/.test(schema_name)) refuse('schema_name', `a name without any of "$'\\`, schema_name)
  if (new TextEncoder().encode(schema_name).length > 63) refuse('schema_name', 'a name of at most 63 bytes', schema_name)
  return schema_name === DEFAULT_SCHEMA ? schema_name : quoteName(schema_name)
}

/** Removes pgq. pg_cron would go on calling what is no longer there, so it is told first. */
export function uninstallScript(schema_name: string): string {
  const schema = schemaInSql(schema_name)
  return `SELECT ${schema}.stop_native_dispatcher();\nDROP SCHEMA ${schema} CASCADE;\n`
}

/** Lets one install at a time into a schema, and only what was meant for the version that is there. */
function guard(schema: string, from: string | undefined): string {
  const [expected, is_other] = from === undefined ? ['no pgq', 'v_found IS NOT NULL'] : [`pgq ${from}`, `v_found IS DISTINCT FROM '${from}'`]
  return `-- One install at a time, and only from the version that this was written for.
DO $guard$
DECLARE
    v_found text;
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('pgq install'), pg_catalog.hashtext('${schema}'));
    IF pg_catalog.to_regprocedure('${schema}.installed_version()') IS NOT NULL THEN
        EXECUTE 'SELECT ${schema}.installed_version()' INTO v_found;
    END IF;
    IF ${is_other} THEN
        RAISE EXCEPTION 'expected ${expected} in schema ${schema}, found %', COALESCE(v_found, 'none')
            USING ERRCODE = '55000';
    END IF;
END
$guard$;
`
}
