/** Makes a `Queryable` of other drivers, and of transactions that you have begun. Mirrors no SQL file. */
import type postgres from 'postgres'
import { PgqError } from './errors.ts'
import { createListening, type ListenSession } from './listening.ts'
import type { PoolerOptions } from './postgres-db.ts'
import type { Queryable } from './queryable.ts'

/** What `fromDriver` needs: a function that runs one statement, as most drivers have it. */
export interface AnyDriver {
  /** `values` are texts and nulls; the rows are objects, and one text column must come as a string. */
  query(text: string, values: (string | null)[]): Promise<{ rows: readonly unknown[] } | readonly unknown[]>
  /** Runs a script of several statements. @default `query(sql, [])` */
  exec?(sql: string): Promise<unknown>
}

/** A transaction (`sql.begin(sql => …)`), a reserved connection or an instance of the npm package `postgres`. */
export function fromPostgresTransaction(
  sql: postgres.Sql | postgres.TransactionSql | postgres.ReservedSql,
  { transaction_pooler = false }: PoolerOptions = {},
): Queryable {
  const prepare = !transaction_pooler
  return {
    async query<Row>({ q, args = [] }: { q: string; args?: readonly (string | null)[] }) {
      return { rows: (await sql.unsafe(q, args as (string | null)[], { prepare })) as unknown as Row[] }
    },
    async exec(text) {
      await sql.unsafe(text)
    },
  }
}

/** What of node-postgres is used: a `Pool`, a `Client` or a client of a pool in the midst of a transaction. */
export interface PgLike {
  query(query: { text: string; values?: unknown[]; name?: string }): Promise<{ rows: unknown[] }>
}

interface PgClientLike extends PgLike {
  release(destroy?: boolean): void
  on(event: 'notification', listener: (message: { channel: string; payload?: string | undefined }) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
}

interface PgPoolLike extends PgLike {
  connect(): Promise<PgClientLike>
  readonly totalCount: number
}

/**
 * A `Pool` or client of node-postgres. A pool can listen (it keeps one of its clients for that) and run transactions;
 * a client is used as it is, so that what you have begun on it stays one transaction.
 */
export function fromPg(pool_or_client: PgLike, options: PoolerOptions = {}): Queryable {
  const client = pgClient(pool_or_client, options)
  if (!isPgPool(pool_or_client)) return client
  const pool = pool_or_client
  return {
    ...client,
    ...(!options.transaction_pooler && {
      listen: createListening((channel, on_notify) => openPgListenSession(pool, channel, on_notify)).listen,
    }),
    async transaction(work) {
      const own = await pool.connect()
      let is_broken = true
      try {
        await own.query({ text: 'BEGIN' })
        try {
          const result = await work(pgClient(own, options))
          await own.query({ text: 'COMMIT' })
          is_broken = false
          return result
        } catch (error) {
          await own.query({ text: 'ROLLBACK' })
          is_broken = false
          throw error
        }
      } finally {
        own.release(is_broken)
      }
    },
  }
}

function pgClient(client: PgLike, { transaction_pooler = false }: PoolerOptions): Queryable {
  return {
    async query<Row>({ q, args = [] }: { q: string; args?: readonly (string | null)[] }) {
      const name = transaction_pooler || args.length === 0 ? {} : { name: statementName(q) }
      return { rows: (await client.query({ text: q, values: [...args], ...name })).rows as Row[] }
    },
    async exec(text) {
      await client.query({ text })
    },
  }
}

function isPgPool(x: PgLike): x is PgPoolLike {
  return 'totalCount' in x && 'connect' in x
}

async function openPgListenSession(pool: PgPoolLike, channel: string, on_notify: (payload: string) => void): Promise<ListenSession> {
  const client = await pool.connect()
  let is_open = true
  const closed = new Promise<unknown>((resolve) => {
    client.on('error', resolve)
    client.on('end', () => resolve(new PgqError('connection_lost', 'the connection that listened was closed')))
  })
  const close = async (): Promise<void> => {
    if (is_open) client.release(true)
    is_open = false
  }
  client.on('notification', (message) => {
    if (message.channel === channel) on_notify(message.payload ?? '')
  })
  try {
    await client.query({ text: `LISTEN "${channel.replaceAll('"', '""')}"` })
  } catch (error) {
    await close()
    throw error
  }
  void closed.then(close)
  return { closed, close }
}

const statement_names = new Map<string, string>()

/** A name for a prepared statement: a hash of its text (FNV-1a, twice), so that two copies of this module agree. */
function statementName(text: string): string {
  let name = statement_names.get(text)
  if (name === undefined) {
    name = `pgq_${fnv1a(text, 0x811c9dc5)}${fnv1a(text, 0x01234567)}`
    statement_names.set(text, name)
  }
  return name
}

function fnv1a(text: string, seed: number): string {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}

/** What of PGlite is used; a PGlite instance or the transaction of its `transaction(tx => …)`. */
export interface PgliteLike {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  exec(sql: string): Promise<unknown>
  listen?(channel: string, on_notify: (payload: string) => void): Promise<() => Promise<void>>
  transaction?<Result>(work: (transaction: PgliteLike) => Promise<Result>): Promise<Result>
}

/** PGlite, Postgres in the process: an instance, or the transaction that its `transaction` gives. */
export function fromPglite(pglite: PgliteLike): Queryable {
  const queryable = fromDriver(pglite)
  // A transaction of PGlite has neither of these, or only listens.
  if (!pglite.transaction) return queryable
  return {
    ...queryable,
    async listen(channel, on_notify) {
      const unlisten = await pglite.listen!(`"${channel.replaceAll('"', '""')}"`, on_notify)
      return () => unlisten()
    },
    transaction: (work) => pglite.transaction!((transaction) => work(fromPglite(transaction))),
  }
}

/** Any driver, or any driver's transaction, that can run a statement with numbered parameters. */
export function fromDriver(driver: AnyDriver): Queryable {
  return {
    async query<Row>({ q, args = [] }: { q: string; args?: readonly (string | null)[] }) {
      const result = await driver.query(q, [...args])
      return { rows: ('rows' in result ? result.rows : result) as Row[] }
    },
    async exec(sql) {
      await (driver.exec ? driver.exec(sql) : driver.query(sql, []))
    },
  }
}
