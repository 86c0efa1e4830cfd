/** `PostgresDb`: a `Queryable` over the npm package `postgres`. Mirrors no SQL file. */
import postgres from 'postgres'
import { fromPostgresTransaction } from './adapters.ts'
import { PgqError } from './errors.ts'
import { refuse } from './expect.ts'
import { createListening, type Listening, type ListenSession } from './listening.ts'
import type { ListenCallbacks, Queryable, QueryableQuery, Unlisten } from './queryable.ts'

/** What `PostgresDb` and `fromPg` want to know beside the connection. */
export interface PoolerOptions {
  /**
   * Is there a pooler in transaction mode in between (PgBouncer, Supavisor, …)? Then no prepared statements are used and
   * nothing listens: workers poll.
   * @default false
   */
  readonly transaction_pooler?: boolean
}

/** How long a lost connection waits before it is tried again: 50 ms, doubling, 2 s at most (seconds, as the driver has it). */
const RECONNECT_SECONDS = (retries: number): number => (0.5 + Math.random() / 2) * Math.min(0.05 * 2 ** Math.min(retries, 10), 2)

/**
 * A pool of connections to a Postgres server.
 *
 * ```ts
 * const db = new PostgresDb('postgres://user:password@host/database')
 * const same = new PostgresDb({ host: 'host', database: 'database', user: 'user', password: 'password' })
 * const mine = new PostgresDb(sql) // an instance of `postgres` that you have; `end()` leaves it open
 * ```
 * It connects when the first query needs it.
 */
export class PostgresDb implements Queryable {
  /** The instance of the npm package `postgres` underneath. */
  readonly sql: postgres.Sql
  /** Left out behind a transaction pooler. */
  readonly listen?: (channel: string, on_notify: (payload: string) => void, callbacks?: ListenCallbacks) => Promise<Unlisten>
  readonly #is_mine: boolean
  readonly #pooler_options: PoolerOptions
  readonly #listening: Listening
  readonly #under_way = new Set<Promise<unknown>>()

  constructor(
    connection: string | postgres.Options<Record<string, postgres.PostgresType>> | postgres.Sql,
    options: PoolerOptions = {},
  ) {
    this.#is_mine = typeof connection !== 'function'
    this.sql = open(connection, options)
    this.#pooler_options = { transaction_pooler: options.transaction_pooler ?? this.sql.options.prepare === false }
    this.#listening = createListening((channel, on_notify) => openListenSession(this.sql, channel, on_notify))
    if (!this.#pooler_options.transaction_pooler) this.listen = this.#listening.listen
  }

  query<Row = Record<string, unknown>>(query: QueryableQuery): Promise<{ rows: Row[] }> {
    return this.#track(fromPostgresTransaction(this.sql, this.#pooler_options).query<Row>(query))
  }

  /** On a connection of its own, so that the script may have transactions, and leaves none behind. */
  exec(sql: string): Promise<void> {
    return this.#track(this.#exec(sql))
  }

  async #exec(sql: string): Promise<void> {
    const client = connectAlone(this.sql)
    try {
      await client.unsafe(sql)
    } finally {
      await client.end({ timeout: 1 })
    }
  }

  /** Runs `work` in a transaction on one connection: commits when it resolves, rolls back when it rejects. */
  async transaction<Result>(work: (transaction: Queryable) => Promise<Result>): Promise<Result> {
    // In an array, because the driver awaits arrays of queries, which a result may look like.
    const run = async (sql: postgres.TransactionSql): Promise<[Result]> => [await work(fromPostgresTransaction(sql, this.#pooler_options))]
    const [result] = (await this.#track(this.sql.begin(run))) as [Result]
    return result
  }

  /** Closes all connections, after the queries under way. An instance that you passed in stays open. */
  async end(): Promise<void> {
    await this.#listening.close()
    if (!this.#is_mine) return
    await Promise.allSettled(this.#under_way)
    // The driver (3.4) waits for ever for a connection that was lost in the midst of a query, unless it has a time limit.
    await this.sql.end({ timeout: 1 })
  }

  #track<Result>(work: Promise<Result>): Promise<Result> {
    const forget = (): void => void this.#under_way.delete(work)
    this.#under_way.add(work)
    work.then(forget, forget)
    return work
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }
}

function open(
  connection: string | postgres.Options<Record<string, postgres.PostgresType>> | postgres.Sql,
  { transaction_pooler = false }: PoolerOptions,
): postgres.Sql {
  if (typeof connection === 'function') return connection
  const defaults = {
    // Otherwise the driver prints notices.
    onnotice: () => {},
    backoff: RECONNECT_SECONDS,
    // Array types, which pgq has no use for. A connection lost while the driver (3.4) asks for them ends the process with
    // an unhandled rejection.
    fetch_types: false,
    ...(transaction_pooler && { prepare: false }),
  }
  if (typeof connection === 'string') return postgres(connection, defaults)
  if (typeof connection !== 'object' || connection === null) {
    refuse('connection', 'a connection string, options of the package postgres or an instance of it', connection)
  }
  return postgres({ ...defaults, ...connection }) as postgres.Sql
}

/** The driver's own `listen` gives up in silence when the server is down while it reconnects; this one tells. */
async function openListenSession(sql: postgres.Sql, channel: string, on_notify: (payload: string) => void): Promise<ListenSession> {
  let tell_closed: (reason: unknown) => void = () => {}
  const closed = new Promise<unknown>((resolve) => (tell_closed = resolve))
  const client = connectAlone(sql, {
    onnotify: (_channel: string, payload: string) => on_notify(payload),
    onclose: () => tell_closed(new PgqError('connection_lost', 'the connection that listened was closed')),
  })
  try {
    await client.unsafe(`LISTEN "${channel.replaceAll('"', '""')}"`)
  } catch (error) {
    await client.end({ timeout: 0 })
    throw error
  }
  return { closed, close: () => client.end({ timeout: 0 }) }
}

/** One more connection like those of `sql`: the driver takes its own parsed options as they are. */
function connectAlone(sql: postgres.Sql, handlers: object = {}): postgres.Sql {
  const options = {
    ...sql.options,
    max: 1,
    idle_timeout: null,
    max_lifetime: null,
    fetch_types: false,
    shared: { retries: 0, typeArrayMap: {} },
    ...handlers,
  }
  return postgres(options as unknown as postgres.Options<Record<string, postgres.PostgresType>>) as postgres.Sql
}
