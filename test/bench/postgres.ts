/** Connections of the bench itself. */
import { Client } from 'pg'

export type Connection = Client & AsyncDisposable

/** A connection; `await using` closes it. */
export async function connect(url: string): Promise<Connection> {
  const client = new Client({ connectionString: url })
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

/** The first column of the first row, as a number. */
export async function numberOf(client: Client, sql: string): Promise<number> {
  const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' })
  return Number(rows[0]?.[0])
}
