/** The payloads of all jobs, about 60 bytes of JSON unless a row says otherwise. */
import { randomBytes } from 'node:crypto'

export function payload(n: number): { to: string; template: string } {
  return { to: `user${String(n).padStart(7, '0')}@example.org`, template: 'welcome' }
}

export function payloads(count: number): object[] {
  return Array.from({ length: count }, (_, n) => payload(n))
}

/** That much text which does not compress well. */
export function largePayload(bytes: number): object {
  return { text: randomBytes(Math.ceil(bytes / 4) * 3).toString('base64').slice(0, bytes) }
}

/** The same in SQL, from a column `n`; text. (A blank after each colon: pgbench reads `:1` as a variable.) */
export const PAYLOAD_SQL = `'{"to": "user' || lpad(n::text, 7, '0') || '@example.org", "template": "welcome"}'`

/** One payload as an SQL literal. */
export const PAYLOAD_LITERAL = `'{"to": "user0000001@example.org", "template": "welcome"}'`
