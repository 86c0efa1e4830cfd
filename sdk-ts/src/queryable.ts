/** What the SDK needs of a database: a `Queryable`. Mirrors no SQL file: everything else goes through it. */

/** A statement with numbered parameters. */
export interface QueryableQuery {
  /** SQL text; parameters are written `$1`, `$2`, … */
  readonly q: string
  /** The values of `$1`, `$2`, …; the SDK itself passes only strings and nulls. @default [] */
  readonly args?: readonly (string | null)[]
}

/** Ends what `listen` began. */
export type Unlisten = () => Promise<void>

/** What may happen to a listener beside notifications. */
export interface ListenCallbacks {
  /** Called after a lost connection when it listens again: notifications in between are lost. @default nothing */
  readonly on_reconnect?: () => void
  /** Called with each failure to listen; it goes on trying. @default nothing */
  readonly on_error?: (error: unknown) => void
}

/**
 * A database, or one transaction of it. `PostgresDb` is one; `fromPg`, `fromPglite`, `fromPostgresTransaction` and
 * `fromDriver` make one of what you have. What an option `transaction` takes is a Queryable too: the call then
 * happens inside that transaction, and commits or rolls back with it.
 */
export interface Queryable {
  /** Runs one statement and gives its rows as objects. */
  query<Row = Record<string, unknown>>(query: QueryableQuery): Promise<{ rows: Row[] }>
  /** Runs a script of any number of statements without parameters. */
  exec(sql: string): Promise<void>
  /**
   * Listens to a channel until the returned function is called. Resolves after the first attempt, whether it could
   * listen or not; goes on trying after failures. Left out by databases that cannot (poolers, transactions).
   */
  listen?(channel: string, on_notify: (payload: string) => void, callbacks?: ListenCallbacks): Promise<Unlisten>
  /** Runs `work` in a transaction: commits when it resolves, rolls back when it rejects. */
  transaction?<Result>(work: (transaction: Queryable) => Promise<Result>): Promise<Result>
}

/** Is it a Queryable (and not an options object)? */
export function isQueryable(x: unknown): x is Queryable {
  return typeof x === 'object' && x !== null && 'query' in x && typeof x.query === 'function'
}
