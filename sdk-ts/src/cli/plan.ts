/** Which files are to be written: the migrations that are not there yet, and the tests of the user's own server. */
import { PgqError } from '../errors.ts'
import { compareVersions, schemaInSql, uninstallScript, type PgqFileReader, type PlainSql } from '../install-script.ts'
import { DEFAULT_SCHEMA } from '../sql-call.ts'
import { slug } from './file-names.ts'
import type { MigrationFolder, NewFile } from './migration-tools.ts'
import { findWritten, markLine, type Project } from './project.ts'

/** What the user wants: an answer to each question. */
export interface Answers {
  readonly schema_name: string
  /** Undefined: no migrations are wanted. */
  readonly migrations: MigrationFolder | undefined
  /** The folder of the database tests; undefined: none are wanted. */
  readonly tests: string | undefined
}

/** The SQL of the package: read as it is, and as scripts. */
export interface Source {
  readonly reader: PgqFileReader
  readonly sql: PlainSql
}

export const TEST_ENDING = '.test.sql'

/** What is missing, or not as it should be. */
export async function planFiles(project: Project, source: Source, answers: Answers, now: Date): Promise<readonly NewFile[]> {
  return [
    ...(answers.migrations ? await planMigration(project, source.sql, answers.schema_name, answers.migrations, now) : []),
    ...(answers.tests === undefined ? [] : await planTests(project, source, answers.schema_name, answers.tests)),
  ]
}

async function planMigration(
  project: Project, sql: PlainSql, schema_name: string, { folder, tool }: MigrationFolder, now: Date,
): Promise<readonly NewFile[]> {
  const from = writtenVersion(project, folder, schema_name)
  if (from !== undefined) {
    const order = compareVersions(from, sql.version)
    if (order === 0) return []
    if (order > 0) throw new PgqError('wrong_state', `The migrations in ${folder} lead to pgq ${from}, newer than this package (${sql.version}): update the package`)
  }
  const where = schema_name === DEFAULT_SCHEMA ? '' : `_in_${slug(schema_name)}`
  const head = [
    `-- ${from === undefined ? 'Installs' : `Updates from ${from} to`} pgq ${sql.version}, a job queue, in schema ${schemaInSql(schema_name)}. Written by pgq-install, which knows this file by the next line.`,
    markLine({ what: 'migration', schema_name, version: sql.version, tool: tool.id }),
  ].join('\n')
  const migration = {
    label: `${from === undefined ? 'install' : 'update'}_pgq_${slug(sql.version)}${where}`,
    head,
    up: await sql.script(schema_name, from),
    down: from === undefined
      ? uninstallScript(schema_name)
      : `DO $$ BEGIN RAISE EXCEPTION 'there is no way back from pgq ${sql.version} to ${from}'; END $$;\n`,
  }
  return tool.files(project, folder, migration, now)
}

/** The newest version that the migrations of a folder lead to. */
function writtenVersion(project: Project, folder: string, schema_name: string): string | undefined {
  return findWritten(project, folder)
    .filter((file) => file.what === 'migration' && file.schema_name === schema_name)
    .map((file) => file.version)
    .sort(compareVersions)
    .at(-1)
}

async function planTests(project: Project, { reader, sql }: Source, schema_name: string, folder: string): Promise<readonly NewFile[]> {
  const name = schema_name === DEFAULT_SCHEMA ? 'pgq' : `pgq_${slug(schema_name)}`
  const schema = schemaInSql(schema_name)
  const script = await sql.script(DEFAULT_SCHEMA, undefined)
  const values: Readonly<Record<string, string>> = {
    '@extschema@': schema,
    '@version@': sql.version,
    '@functions@': namesIn(script, /^CREATE OR REPLACE (?:FUNCTION|PROCEDURE) pgq\.(\w+)/gm),
    '@relations@': namesIn(script, /^CREATE (?:(?:UNLOGGED )?TABLE|(?:UNIQUE )?INDEX|TYPE|VIEW|SEQUENCE) (?:pgq\.)?(\w+)/gm),
  }
  const body = (await reader.read('pgq_test.sql')).replace(/@\w+@/g, (word) => values[word] ?? word)
  const text = [
    `-- Tests of pgq ${sql.version} in schema ${schema}. Written by pgq-install, which writes this file anew when it changes.`,
    markLine({ what: 'tests', schema_name, version: sql.version }),
    body,
  ].join('\n')
  const path = `${folder}/${name}${TEST_ENDING}`
  return project.text(path) === text ? [] : [{ path, text }]
}

/** The names that a script makes, as an array in SQL, in lines of a bearable length. */
function namesIn(script: string, pattern: RegExp): string {
  const names = [...script.matchAll(pattern)].map(([, name]) => `'${name}'`).sort()
  return `ARRAY[${names.join(', ').replace(/(.{80,}?,) /g, '$1\n        ')}]`
}
