/** The one error class and its codes. Mirrors functions/00-base.sql (`error_codes()`) and the SQLSTATEs of the contract. */

/** What went wrong, by SQLSTATE of class JQ: the codes that SQL's `error_codes()` lists under the same names. */
export const SQL_ERROR_CODES = {
  JQ001: 'queue_not_found',
  JQ002: 'job_not_found',
  JQ003: 'lease_lost',
  JQ004: 'job_in_another_state',
  JQ005: 'queue_paused',
  JQ006: 'endpoint_not_found',
  JQ007: 'workflow_not_found',
  JQ008: 'signal_token_not_found',
} as const

/** The standard SQLSTATEs that pgq raises or that a caller can act upon. */
const STANDARD_ERROR_CODES = {
  '22023': 'invalid_argument',
  '22004': 'invalid_argument',
  '23505': 'unique_key_held',
  '55000': 'wrong_state',
  '54000': 'too_large',
  '42501': 'access_denied',
  '40001': 'conflict',
  '40P01': 'conflict',
  '55P03': 'conflict',
  '42883': 'not_installed',
  '3F000': 'not_installed',
  '42P01': 'not_installed',
} as const

/**
 * What went wrong:
 * - `queue_not_found`, `job_not_found`, `lease_lost`, `job_in_another_state`, `queue_paused`, `endpoint_not_found`,
 *   `workflow_not_found`, `signal_token_not_found`: as in SQL;
 * - `invalid_argument`: a value that is not allowed, said in the message;
 * - `payload_invalid`: a payload that the queue's schema refuses;
 * - `unique_key_held`: another live job holds the unique key;
 * - `wrong_state`: not now, e.g. dropping a queue with live jobs;
 * - `too_large`: payload, headers or batch above their cap;
 * - `access_denied`: the database role may not do this;
 * - `conflict`: a deadlock or serialization failure: try the transaction again;
 * - `not_installed`: the schema has no pgq, or an older one;
 * - `connection_lost`: no connection, or it broke: whether the call was carried out is unknown;
 * - `database_error`: any other error of the database, in `cause`;
 * - `wait_timed_out`: the job did not finish within the time you gave;
 * - `job_cancelled`, `job_ran_too_long`, `worker_stopped`: reasons of a job's `signal`.
 */
export type PgqErrorCode =
  | (typeof SQL_ERROR_CODES)[keyof typeof SQL_ERROR_CODES]
  | (typeof STANDARD_ERROR_CODES)[keyof typeof STANDARD_ERROR_CODES]
  | 'payload_invalid'
  | 'connection_lost'
  | 'database_error'
  | 'wait_timed_out'
  | 'job_cancelled'
  | 'job_ran_too_long'
  | 'worker_stopped'

/** Every error of this package. `cause` is the driver's error, where there is one. */
export class PgqError extends Error {
  override readonly name = 'PgqError'
  readonly code: PgqErrorCode
  /** The SQLSTATE, if the error came from the database. */
  readonly sqlstate: string | undefined

  constructor(code: PgqErrorCode, message: string, options: { cause?: unknown; sqlstate?: string } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.sqlstate = options.sqlstate
  }
}

/** Codes that drivers give to broken connections; they have no SQLSTATE. */
const CONNECTION_FAULTS = new Set([
  'CONNECTION_CLOSED', 'CONNECTION_ENDED', 'CONNECTION_DESTROYED', 'CONNECT_TIMEOUT',
  'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH',
  'ENETUNREACH', 'ENOENT',
])

/** SQLSTATEs (or classes) of a server that is gone, going, not ready yet, or has no room. */
const CONNECTION_STATES = /^(08...|57P0[1-5]|53300|25006)$/

/** Makes a PgqError of whatever a driver threw. */
export function toPgqError(error: unknown): PgqError {
  if (error instanceof PgqError) return error
  const code = textOf(error, 'code') ?? ''
  const message = textOf(error, 'message') || code || String(error)
  if (/^[0-9A-Z]{5}$/.test(code) && !CONNECTION_FAULTS.has(code)) {
    const details = [message, textOf(error, 'detail'), textOf(error, 'hint')].filter((part) => part).join(' — ')
    return new PgqError(codeOfSqlstate(code), details, { cause: error, sqlstate: code })
  }
  // node-postgres gives these no code.
  const is_broken = CONNECTION_FAULTS.has(code) || /connection (was )?(terminated|ended|closed|timeout)|not queryable/i.test(message)
  return new PgqError(is_broken ? 'connection_lost' : 'database_error', message, { cause: error })
}

function codeOfSqlstate(sqlstate: string): PgqErrorCode {
  if (sqlstate in SQL_ERROR_CODES) return SQL_ERROR_CODES[sqlstate as keyof typeof SQL_ERROR_CODES]
  if (sqlstate in STANDARD_ERROR_CODES) return STANDARD_ERROR_CODES[sqlstate as keyof typeof STANDARD_ERROR_CODES]
  if (CONNECTION_STATES.test(sqlstate)) return 'connection_lost'
  // Class 22, data exception: text that jsonb cannot hold, a date that is none, a number out of range.
  return sqlstate.startsWith('22') ? 'invalid_argument' : 'database_error'
}

/** A text property, also where the error hides it in `errors` (Node's AggregateError of several addresses). */
function textOf(error: unknown, key: string): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const value = (error as Record<string, unknown>)[key]
  if (typeof value === 'string' && value !== '') return value
  const first = (error as { errors?: unknown }).errors
  return Array.isArray(first) && first.length > 0 ? textOf(first[0], key) : undefined
}
