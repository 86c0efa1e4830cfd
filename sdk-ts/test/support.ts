/** What the tests share: databases, names, waiting. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect } from 'vitest'
import { PgQueue, PgqError, PostgresDb, type PgqErrorCode, type PoolerOptions, type Queryable, type Worker } from '../src/index.ts'

/** Address of the test database, which has the extension in schema pgq. */
export const DATABASE_URL = process.env['PGQ_TEST_DATABASE_URL'] ?? ''

const open_dbs: PostgresDb[] = []
const workers: Worker[] = []
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop({ hard: true })))
  await Promise.all(open_dbs.map((db) => db.end()))
})

/** A database that is closed after the tests of the file; its connections are known to the server as `application_name`. */
export function openDb({ application_name = 'pgq test', url = DATABASE_URL, ...options }: PoolerOptions & { application_name?: string; url?: string } = {}): PostgresDb {
  const db = new PostgresDb(`${url}?application_name=${encodeURIComponent(application_name)}`, options)
  open_dbs.push(db)
  return db
}

let names = 0
/** A name that no other test has. */
export function queueName(): string {
  return `test ${process.pid}.${names++} "née"`
}

/** A queue of its own for each test; failed jobs come back soon. */
export async function newQueue<T = { n: number }>(db: Queryable, settings: object = {}): Promise<PgQueue<T>> {
  const queue = new PgQueue<T>(db, queueName())
  await queue.getConfig().set({ retry_backoff: 'fixed', pause_between_retries_milliseconds: 20, ...settings })
  return queue
}

/** Stopped after the tests of the file, also when they fail. */
export function stopAfterwards(worker: Worker): Worker {
  workers.push(worker)
  return worker
}

/** Waits until `check` gives something true. */
export async function until<T>(check: () => T | Promise<T>, limit_milliseconds = 10_000): Promise<NonNullable<T>> {
  for (const end = performance.now() + limit_milliseconds; ; ) {
    const value = await check()
    if (value) return value
    if (performance.now() > end) throw new Error(`not within ${limit_milliseconds} ms: ${check}`)
    await sleep(5)
  }
}

/** The PgqError that a call rejects with. */
export async function errorOf(work: Promise<unknown> | (() => unknown), code: PgqErrorCode): Promise<PgqError> {
  let error: unknown
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (caught) {
    error = caught
  }
  expect(error).toBeInstanceOf(PgqError)
  expect((error as PgqError).code, (error as PgqError).message).toBe(code)
  return error as PgqError
}

/** Installs pgq as plain SQL into a schema. */
export async function installPlain(db: Queryable, schema_name: string): Promise<void> {
  const script = readFileSync(new URL('../../extension/pgq.plain.sql', import.meta.url), 'utf8')
  const quoted = `"${schema_name.replaceAll('"', '""')}"`
  await db.exec(`BEGIN; DROP SCHEMA IF EXISTS ${quoted} CASCADE; ${script.replaceAll('@extschema@', quoted)} COMMIT;`)
}

/** A promise and its ends. */
export function latch<T = void>(): { readonly promise: Promise<T>; readonly open: (value: T) => void } {
  let open: (value: T) => void = () => {}
  const promise = new Promise<T>((resolve) => (open = resolve))
  return { promise, open }
}
