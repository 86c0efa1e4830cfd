/** Takes down what a library sends, so that pgbench can send the same. */
import type { Client } from 'pg'

export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
}

/** From now on each statement of this client is noted in what is returned. */
export function record(client: Client): Statement[] {
  const statements: Statement[] = []
  const send = client.query.bind(client) as (...args: unknown[]) => unknown
  client.query = ((query: string | Statement, values?: unknown[]) => {
    statements.push(typeof query === 'string' ? { text: query, values: values ?? [] } : query)
    return send(query, values)
  }) as never
  return statements
}

export function oneLine(text: string): string {
  return text.replace(/--.*$/gm, '').replace(/\s+/g, ' ').trim().replace(/;$/, '')
}

/** The statement with its values in it. */
export function withLiterals({ text, values }: Statement): string {
  return oneLine(text).replace(/\$(\d+)/g, (_, n: string) => literal(values[Number(n) - 1]))
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'number') return String(value)
  if (Array.isArray(value)) return `'{${value.join(',')}}'`
  return `'${String(value).replaceAll("'", "''")}'`
}
