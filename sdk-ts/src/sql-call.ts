/**
 * How the SDK calls SQL functions. Mirrors no SQL file.
 *
 * Every parameter goes as text and is cast in SQL, and every row comes back as a text column (rarely two) that holds JSON. So no
 * driver's own idea of bigint, jsonb, dates, arrays or column names can change a job, and a batch is parsed at once.
 */
import { toPgqError } from './errors.ts'
import { expectText, refuse } from './expect.ts'
import type { Queryable } from './queryable.ts'

/** The schema that pgq lives in when nobody says otherwise. */
export const DEFAULT_SCHEMA = 'pgq'

/** A name as SQL needs it: `"My Jobs"`. */
export function quoteName(name: string): string {
  expectText('schema_name', name)
  if (name.includes('\0')) refuse('schema_name', 'a name without zero characters', name)
  return `"${name.replaceAll('"', '""')}"`
}

/** A text parameter: what is not given is NULL. */
export function param(value: string | number | boolean | null | undefined): string | null {
  return value === undefined || value === null ? null : String(value)
}

/** A jsonb parameter: undefined is NULL, null is JSON's null. */
export function jsonParam(name: string, value: unknown): string | null {
  return value === undefined ? null : toJson(name, value)
}

/** A timestamptz parameter. */
export function timeParam(name: string, value: Date | string | undefined): string | null {
  if (value === undefined) return null
  if (typeof value === 'string') return value
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) refuse(name, 'a valid Date or a text in ISO form', value)
  // A year above 9999 has a sign in ISO form, which Postgres does not read.
  return value.toISOString().replace(/^\+0*/, '')
}

/** A parameter of type `bigint[]`, as Postgres writes it. */
export function numbersParam(numbers: readonly number[]): string {
  return `{${numbers.join(',')}}`
}

/** A parameter of type `text[]` for a few short texts, as Postgres writes it. */
export function namesParam(names: readonly string[]): string {
  return `{${names.map((name) => `"${name.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
}

/** A parameter of type `text[]`; null stays NULL. */
export function textsParam(texts: readonly (string | null | undefined)[] | undefined): string | null {
  return texts === undefined ? null : JSON.stringify(texts)
}

/** A parameter of type `jsonb[]`: JSON texts one a line (JSON has no line feed of its own), undefined for NULL. */
export function jsonLinesParam(texts: readonly (string | undefined)[] | undefined): string | null {
  return texts?.some((text) => text !== undefined) ? texts.join('\n') : null
}

/** JSON text of a value, or an error that names it. */
export function toJson(name: string, value: unknown): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (error) {
    refuse(name, `a value that JSON can hold (${(error as Error).message})`, value)
  }
  return json ?? refuse(name, 'a value that JSON can hold', value)
}

/** Runs a statement for what it does. */
export async function callVoid(db: Queryable, q: string, args: readonly (string | null)[]): Promise<void> {
  await rowsOf(db, q, args)
}

async function rowsOf(db: Queryable, q: string, args: readonly (string | null)[]): Promise<Record<string, unknown>[]> {
  try {
    return (await db.query({ q, args })).rows
  } catch (error) {
    throw toPgqError(error)
  }
}

/** Runs a statement whose columns are JSON texts; gives them row by row, as they came. */
export async function callTexts(db: Queryable, q: string, args: readonly (string | null)[]): Promise<unknown[][]> {
  // By position: a driver may have been told to write column names in another case.
  return (await rowsOf(db, q, args)).map((row) => Object.values(row))
}

/** What a JSON text says. (Some drivers parse it themselves.) */
export function fromJson<Result>(text: unknown): Result {
  return (typeof text === 'string' ? JSON.parse(text) : text) as Result
}

/** Runs a statement whose rows are one column of JSON text, and parses each; tells `on_text` of the text first. */
export async function call<Result>(
  db: Queryable, q: string, args: readonly (string | null)[], on_text?: (text: string) => void,
): Promise<Result[]> {
  return (await callTexts(db, q, args)).map(([text]) => {
    if (typeof text === 'string') on_text?.(text)
    return fromJson<Result>(text)
  })
}

/** The same for a statement that gives exactly one row. */
export async function callOne<Result>(
  db: Queryable, q: string, args: readonly (string | null)[], on_text?: (text: string) => void,
): Promise<Result> {
  return (await call<Result>(db, q, args, on_text))[0] as Result
}

/** `name => $1::text::type, …`: a call's arguments in named notation; their values follow in the same order. */
export function namedArguments(types: Readonly<Record<string, string>>, first = 1): string {
  return Object.entries(types)
    .map(([name, type], index) => `${name} => ${castOf(`$${first + index}::text`, type)}`)
    .join(', ')
}

/**
 * A statement for each set of arguments that are given: what is left out has the default that SQL gives it, and costs
 * nothing. `values` are in the order of `types`, null for what is not given; `make` gets the argument list of a call.
 */
export function statementsOf<Statement>(
  types: Readonly<Record<string, string>>, make: (argument_list: string) => Statement, first = 1,
): (values: readonly (string | null)[]) => { statement: Statement; args: string[] } {
  const made = new Map<string, Statement>()
  return (values) => {
    const given = Object.entries(types).filter((_, index) => (values[index] ?? null) !== null)
    const key = given.map(([name]) => name).join()
    let statement = made.get(key)
    if (statement === undefined) made.set(key, (statement = make(namedArguments(Object.fromEntries(given), first))))
    return { statement, args: values.filter((value) => value !== null) }
  }
}

/**
 * Lists: `text[]` comes as a JSON array, `jsonb[]` as lines of JSON where an empty line is NULL: measured, both are the quickest
 * for many. `names` are a `text[]` as Postgres writes it, which is quicker for few.
 */
function castOf(parameter: string, type: string): string {
  switch (type) {
    case 'text':
      return parameter
    case 'names':
      return `${parameter}::text[]`
    // With CASE, because ARRAY(SELECT …) of NULL is an empty array and not NULL.
    case 'text[]':
      return `CASE WHEN ${parameter} IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(${parameter}::jsonb)) END`
    case 'jsonb[]':
      return `CASE WHEN ${parameter} IS NOT NULL THEN ARRAY(SELECT line::jsonb FROM string_to_table(${parameter}, E'\\n', '') AS line) END`
    default:
      return `${parameter}::${type}`
  }
}
