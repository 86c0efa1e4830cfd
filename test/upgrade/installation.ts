/** Installations of pgq in databases of a cluster, made in the ways users make them, and what can be read from them. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Cluster } from '../support/cluster.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(resolve(ROOT, file), 'utf8')

/** The version of this source. */
export const CURRENT = /^default_version = '(.*)'$/m.exec(read('pgq.control'))![1]!

/** A database and the schema in which pgq is. */
export interface Installation {
  readonly cluster: Cluster
  readonly database: string
  /** As it is called, not quoted. */
  readonly schema: string
  sql(script: string, user?: string): string
}

/** The roles that installations are granted to and owned by; the first thing to do with a cluster. */
export function makeRoles(cluster: Cluster): void {
  cluster.psql('CREATE ROLE report_worker; CREATE ROLE web_app; CREATE ROLE queue_owner LOGIN')
}

let databases = 0

/** An empty database. */
export function emptyDatabase(cluster: Cluster, schema = 'pgq', owner = 'postgres'): Installation {
  const database = `upgrade_${(databases += 1)}`
  cluster.psql(`CREATE DATABASE ${database} OWNER ${owner}`)
  return { cluster, database, schema, sql: (script, user = 'postgres') => cluster.psql(script, { database, user }) }
}

/** A script of the plain SQL, for a schema. */
export const plainScript = (file: string, schema: string): string =>
  read(file).replaceAll('@extschema@', schema === 'pgq' ? schema : `"${schema}"`)

/** `CREATE EXTENSION`, of the current or an earlier version. */
export function createExtension(cluster: Cluster, version = CURRENT): Installation {
  const made = emptyDatabase(cluster)
  made.sql(`CREATE EXTENSION pgq VERSION '${version}'`)
  return made
}

/** The plain SQL of the current or an earlier version, in a transaction. */
export function createPlain(cluster: Cluster, schema: string, version = CURRENT, owner = 'postgres'): Installation {
  const made = emptyDatabase(cluster, schema, owner)
  const file = version === CURRENT ? 'extension/pgq.plain.sql' : `extension/releases/pgq--${version}.plain.sql`
  made.sql(`BEGIN; ${plainScript(file, schema)}; COMMIT`, owner)
  return made
}

/** Brings 10 000 jobs in every state, and one of all else. */
export function fill(made: Installation): void {
  made.sql(read('test/support/vault.sql'))
  made.sql(inSchema(read('test/upgrade/fill.sql'), made.schema))
}

/** What besides only the current version can hold. */
export function fillCurrent(made: Installation): void {
  fill(made)
  made.sql(inSchema(read('test/upgrade/fill-current.sql'), made.schema))
}

/** SQL that is written for the schema pgq, for another. */
export const inSchema = (sql: string, schema: string): string =>
  schema === 'pgq' ? sql : sql.replace(/\bpgq\./g, `"${schema}".`)

/** The facts of an installation, one a line. */
export const factsOf = (made: Installation): string[] =>
  lines(made.sql(`SET report.schema = '${made.schema}'; ${read('test/upgrade/report.sql')}`))

/** What besides is true of an extension only. */
export const extensionFactsOf = (made: Installation): string[] => lines(made.sql(read('test/upgrade/report-extension.sql')))

const lines = (printed: string): string[] => printed.split('\n').filter((line) => line !== '')

/** The rows of a table, as JSON texts in their order. */
export type Rows = ReadonlyMap<string, readonly string[]>

/** All rows of all tables but `except`, and where the sequences are. */
export function rowsOf(made: Installation, except: readonly string[] = []): Rows {
  const relations = lines(made.sql(`
    SELECT c.relname, CASE c.relkind WHEN 'S' THEN 'SELECT last_value, is_called FROM' ELSE 'TABLE' END
    FROM pg_class AS c
    WHERE c.relnamespace = '"${made.schema}"'::regnamespace AND c.relkind IN ('r', 'p', 'S') AND NOT c.relispartition
    ORDER BY 1`)).map((line) => line.split('|') as [string, string])
  return new Map(relations.filter(([name]) => !except.includes(name)).map(([name, select]) => [
    name, lines(made.sql(`SELECT to_jsonb(t) FROM (${select} "${made.schema}"."${name}") AS t ORDER BY to_jsonb(t)::text COLLATE "C"`)),
  ]))
}

/** The rows, with no more columns than `before` has: what a table gained since is not lost. */
export function withColumnsOf(before: Rows, after: Rows): Rows {
  return new Map([...before].map(([table, rows]) => {
    const known = new Set(rows.flatMap((row) => Object.keys(JSON.parse(row))))
    const kept = (row: string): string =>
      JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(row)).filter(([name]) => known.has(name)).sort()))
    return [table, (after.get(table) ?? []).map(kept).sort()]
  }))
}
