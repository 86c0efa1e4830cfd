/** The HTTP endpoint of a queue: where a dispatcher sends its jobs. Mirrors functions/74-endpoint.sql. */
import { PgqError } from './errors.ts'
import { refuse } from './expect.ts'
import type { Queryable } from './queryable.ts'
import { call, callOne, callVoid, jsonParam, namedArguments, param, quoteName } from './sql-call.ts'

/** What `setEndpoint` takes. What is left out gets its default, whatever it was before. */
export interface EndpointDetails {
  /** Where to: https, unless `endpoint_is_insecure_allowed`. */
  readonly endpoint_url: string
  /** POST sends the job as JSON in the body; GET, the second best, as JSON in the query parameter `job`. @default 'POST' */
  readonly endpoint_method?: 'POST' | 'GET'
  /** Where the bearer token is kept: nowhere, in the database, or in Supabase Vault. Set it with `setQueueEndPointApiKey`. @default '' */
  readonly endpoint_bearer_token_location?: '' | 'inline' | 'supabase_vault'
  /** How long a dispatcher waits for the answer, 1000 to 900 000 (inside Postgres up to 60 000). @default 15 000 */
  readonly endpoint_timeout_milliseconds?: number
  /** true: an answer only says that the job was received; the handler releases it. @default false */
  readonly endpoint_manual_release?: boolean
  /** Requests that may be under way at once, of all dispatchers together, 1 to 10 000. @default 50 */
  readonly endpoint_max_in_flight?: number
  /** Further headers of each request. Readable by admins: no place for secrets. @default none */
  readonly endpoint_headers?: Readonly<Record<string, string>>
  /** After so many attempts in all a job is dead when the answer is a 4xx that says nothing better. @default 3 */
  readonly endpoint_client_error_attempts?: number
  /** Longer answers are cut, and are no output then. @default 65 536 */
  readonly endpoint_max_response_bytes?: number
  /** Allow http and private addresses. @default false */
  readonly endpoint_is_insecure_allowed?: boolean
}

/** The endpoint of a queue as it is set. Secrets are not part of it. */
export interface EndpointSettings extends Required<EndpointDetails> {
  readonly queue_name: string
  /** false: no job is sent. */
  readonly endpoint_active: boolean
  readonly endpoint_has_bearer_token: boolean
  readonly endpoint_has_signing_secret: boolean
  /** The signing secret before this one still signs too. */
  readonly endpoint_has_previous_signing_secret: boolean
}

/** How an endpoint does. */
export interface EndpointStatus {
  readonly queue_name: string
  readonly is_active: boolean
  /** Is the queue paused? */
  readonly is_paused: boolean
  /** Requests under way. */
  readonly in_flight: number
  /** How many may be, at the moment: lowered when the endpoint is overloaded. */
  readonly in_flight_limit: number
  readonly max_in_flight: number
  /** open: nothing is sent, because it failed again and again; half_open: one job tries. */
  readonly breaker: 'closed' | 'open' | 'half_open'
  /** Nothing is sent until then. */
  readonly held_until: Date | null
  readonly hold_reason: string | null
  readonly consecutive_failures: number
}

const DETAILS: Readonly<Record<keyof EndpointDetails, string>> = {
  endpoint_url: 'text', endpoint_method: 'text', endpoint_timeout_milliseconds: 'integer', endpoint_manual_release: 'boolean',
  endpoint_max_in_flight: 'integer', endpoint_headers: 'jsonb', endpoint_bearer_token_location: 'text',
  endpoint_client_error_attempts: 'integer', endpoint_max_response_bytes: 'integer', endpoint_is_insecure_allowed: 'boolean',
}

/** In SQL the names have no `endpoint_`. */
const sqlName = (name: string): string => name.replace(/^endpoint_/, '')

/** The calls for one queue. */
export interface EndpointCalls {
  set(is_active: boolean, details: EndpointDetails): Promise<EndpointSettings>
  get(): Promise<EndpointSettings>
  remove(): Promise<boolean>
  setActive(is_active: boolean): Promise<void>
  setBearerToken(token: string | null): Promise<void>
  getBearerToken(): Promise<string | null>
  setSigningSecret(secret: string | undefined): Promise<string>
  forgetPreviousSigningSecret(): Promise<void>
  status(): Promise<EndpointStatus | undefined>
}

export function sqlEndpoint(db: Queryable, schema_name: string, queue_name: string): EndpointCalls {
  const schema = quoteName(schema_name)

  return {
    async set(is_active, details) {
      checkNames(details)
      // Only what is given, so that the defaults stand in SQL alone.
      const given = Object.entries(details).filter(([, value]) => value !== undefined)
      const types = Object.fromEntries(given.map(([name]) => [sqlName(name), DETAILS[name as keyof EndpointDetails]]))
      const q = `SELECT to_json(e)::text AS r FROM ${schema}.set_endpoint(${namedArguments({ queue_name: 'text', is_active: 'boolean', ...types })}) AS e`
      const values = given.map(([name, value]) => (name === 'endpoint_headers' ? jsonParam(name, value) : param(value)))
      return settingsOf(await discreetly(callOne(db, q, [queue_name, param(is_active), ...values])))
    },

    async get() {
      const q = `SELECT to_json(e)::text AS r FROM ${schema}.get_endpoint(queue_name => $1::text) AS e`
      return settingsOf(await callOne(db, q, [queue_name]))
    },

    remove: () => callOne(db, `SELECT to_json(${schema}.remove_endpoint(queue_name => $1::text))::text AS r`, [queue_name]),

    async setActive(is_active) {
      const types = { queue_name: 'text', is_active: 'boolean' }
      await callVoid(db, `SELECT ${schema}.set_endpoint_active(${namedArguments(types)})`, [queue_name, param(is_active)])
    },

    async setBearerToken(token) {
      const types = { queue_name: 'text', token: 'text' }
      await discreetly(callVoid(db, `SELECT ${schema}.set_endpoint_bearer_token(${namedArguments(types)})`, [queue_name, token]))
    },

    async getBearerToken() {
      const q = `SELECT json_build_array(${schema}.get_endpoint_bearer_token(queue_name => $1::text))::text AS r`
      return (await callOne<[string | null]>(db, q, [queue_name]))[0]
    },

    setSigningSecret(secret) {
      const types = { queue_name: 'text', secret: 'text' }
      const q = `SELECT to_json(${schema}.set_endpoint_signing_secret(${namedArguments(types)}))::text AS r`
      return discreetly(callOne<string>(db, q, [queue_name, param(secret)]))
    },

    async forgetPreviousSigningSecret() {
      await callVoid(db, `SELECT ${schema}.forget_previous_signing_secret(queue_name => $1::text)`, [queue_name])
    },

    async status() {
      const q = `SELECT to_json(s)::text AS r FROM ${schema}.endpoint_status(queue_name => $1::text) AS s`
      const [row] = await call<Omit<EndpointStatus, 'held_until'> & { held_until: string | null }>(db, q, [queue_name])
      return row && { ...row, held_until: row.held_until === null ? null : new Date(row.held_until) }
    },
  }
}

/** Drivers keep the arguments of a statement in its error: here they may be secrets, so the error goes without its cause. */
async function discreetly<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof PgqError)) throw error
    throw new PgqError(error.code, error.message, error.sqlstate === undefined ? {} : { sqlstate: error.sqlstate })
  }
}

function checkNames(details: EndpointDetails): void {
  for (const [name, value] of Object.entries(details)) {
    if (!(name in DETAILS)) refuse('details', `made of ${Object.keys(DETAILS).join(', ')}`, name)
    if (value === null) refuse(name, 'a value, or left out', value)
  }
  if (typeof details.endpoint_url !== 'string') refuse('endpoint_url', 'a text', details.endpoint_url)
}

function settingsOf(row: Readonly<Record<string, unknown>>): EndpointSettings {
  const named = Object.entries(row).map(([name, value]) => {
    if (name === 'queue_name') return [name, value]
    return [name === 'is_active' ? 'endpoint_active' : `endpoint_${name}`, value]
  })
  return Object.fromEntries(named) as EndpointSettings
}
