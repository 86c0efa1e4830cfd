/** One connection to the server, for tests that speak SQL: ids are numbers, and an error says its SQLSTATE. */
import postgres from 'postgres'

/** ids and lease tokens are below 2^53, so a bigint is read as a number. */
export type Session = postgres.Sql<{ bigint: number }>

/** A job as pick_jobs returns it; the columns that tests look at. */
export interface Picked<Payload = unknown> {
  readonly job_id: number
  readonly queue_name: string
  readonly lease_token: number
  readonly lease_until: Date
  readonly attempt: number
  readonly max_attempts: number
  readonly payload: Payload
  readonly group_key: string | null
}

export interface SessionOptions {
  /** Is called with each notice that the server sends. @default they are dropped */
  readonly onNotice?: (message: string) => void
  /** Settings of the session. @default {} */
  readonly settings?: Readonly<Record<string, string>>
}

/** Opens one connection, which makes `BEGIN` and `COMMIT` as plain statements safe. */
export function openSession(url: string, options: SessionOptions = {}): Session {
  return postgres(url, {
    max: 1,
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    onnotice: (notice) => options.onNotice?.(notice['message'] ?? ''),
    connection: { application_name: 'pgq test', ...options.settings },
  })
}

/** Runs `work` in a transaction, which is undone if `work` throws, or if `undo` is true. */
export async function inTransaction<Result>(
  sql: Session, work: () => Promise<Result>, { undo = false }: { readonly undo?: boolean } = {},
): Promise<Result> {
  await sql`BEGIN`
  try {
    const result = await work()
    await (undo ? sql`ROLLBACK` : sql`COMMIT`)
    return result
  } catch (error) {
    await sql`ROLLBACK`.catch(() => {}) // The connection may be gone: what matters is the first error.
    throw error
  }
}

/** The SQLSTATE of an error of the server; of other errors nothing. */
export function sqlstateOf(error: unknown): string | undefined {
  return error instanceof postgres.PostgresError ? error.code : undefined
}

/** What `work` is refused with: its SQLSTATE. Nothing when it succeeds. */
export async function refusal(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    const sqlstate = sqlstateOf(error)
    if (sqlstate === undefined) throw error
    return sqlstate
  }
}

/** For a parameter of type jsonb[], written as `${json(values)}::text[]::jsonb[]`. */
export function json(values: readonly unknown[]): string[] {
  return values.map((value) => JSON.stringify(value))
}
