/** The database of the demo, with pgq in it: PGlite, or the server of DATABASE_URL. */
import { PGlite } from '@electric-sql/pglite'
import { fromPglite, PgqError, PostgresDb, type Queryable } from '../../src/index.ts'
import { pgq } from '../../src/pglite.ts'
import { dim, messageOf, say } from './screen.ts'

export interface DemoDatabase extends AsyncDisposable {
  readonly db: Queryable
}

export async function openDatabase(url: string | undefined): Promise<DemoDatabase> {
  return url ? openServer(url) : openPglite()
}

async function openPglite(): Promise<DemoDatabase> {
  say(dim('Starting PGlite, Postgres in this process …')) // It makes a new database, which takes some seconds.
  const pglite = await PGlite.create({ extensions: { pgq } })
  const db = fromPglite(pglite)
  await db.exec('CREATE EXTENSION pgq')
  await greet(db, 'PGlite')
  return { db, [Symbol.asyncDispose]: () => pglite.close() }
}

async function openServer(url: string): Promise<DemoDatabase> {
  if (!URL.canParse(url)) throw new Error(`expected DATABASE_URL to be like postgres://user:password@host/database, got '${url}'`)
  const db = new PostgresDb(url)
  try {
    // Who may not install extensions can still use what is there.
    if (!(await version(db))) await install(db)
    await greet(db, 'the server of DATABASE_URL')
  } catch (error) {
    await db.end()
    throw error
  }
  return { db, [Symbol.asyncDispose]: () => db.end() }
}

/** The version of pgq in schema pgq, if it is there. */
async function version(db: Queryable): Promise<string | undefined> {
  try {
    return (await row<{ version: string }>(db, 'SELECT pgq.installed_version() AS version')).version
  } catch (error) {
    if (sqlstateOf(error) === '3F000' || sqlstateOf(error) === '42883') return undefined
    throw error instanceof Error ? new Error(`the server of DATABASE_URL: ${error.message}`, { cause: error }) : error
  }
}

async function install(db: Queryable): Promise<void> {
  try {
    await db.exec('CREATE EXTENSION IF NOT EXISTS pgq')
  } catch (error) {
    const advice: Record<string, string> = {
      '0A000': 'Install it on the server: make && sudo make install.',
      '58P01': 'Install it on the server: make && sudo make install.',
      '42501': 'Ask a superuser of the database for CREATE EXTENSION pgq.',
    }
    throw new Error(`CREATE EXTENSION pgq: ${messageOf(error)}. ${advice[sqlstateOf(error)] ?? ''}`, { cause: error })
  }
  if (!(await version(db))) {
    throw new Error('the extension pgq of this database is another one (Skytools PgQ?); take another database')
  }
}

async function greet(db: Queryable, place: string): Promise<void> {
  const { server_version } = await row<{ server_version: string }>(db, 'SHOW server_version')
  say(`pgq ${await version(db)} in ${place} ${dim(`(PostgreSQL ${server_version})`)}`)
}

async function row<Row>(db: Queryable, q: string): Promise<Row> {
  return (await db.query<Row>({ q })).rows[0]!
}

/** The SQLSTATE of a driver's error. */
function sqlstateOf(error: unknown): string {
  const { cause = error } = error as { cause?: unknown }
  return String((cause as { code?: unknown } | null)?.code ?? '')
}
