/** `PgQueueConfig`: the settings of one queue and its endpoint. Mirrors functions/10-queue.sql and 74-endpoint.sql. */
import type { TimeoutResult } from './add.ts'
import { sqlEndpoint, type EndpointCalls, type EndpointDetails, type EndpointSettings, type EndpointStatus } from './endpoint.ts'
import { expectText, refuse } from './expect.ts'
import type { Queryable } from './queryable.ts'
import { callOne, callVoid, DEFAULT_SCHEMA, namedArguments, param, quoteName, timeParam } from './sql-call.ts'

/** The settings of a queue, each with its default and range. */
export interface QueueSettings {
  /** Jobs of the queue that may run at once, 1 or more; null for no limit. @default null */
  readonly max_concurrency: number | null
  /** Jobs of each group that may run at once, 1 or more; null for no limit. @default null */
  readonly max_concurrency_per_group: number | null
  /** With a group limit of 1: `strict` keeps a failed job's turn while it backs off, `loose` gives it on. @default 'loose' */
  readonly group_order: 'loose' | 'strict'
  /** Attempts in all, 1 to 1000. @default 10 */
  readonly max_attempts: number
  /** `exponential` doubles the pause at each attempt, with full jitter; `fixed` does not. @default 'exponential' */
  readonly retry_backoff: 'exponential' | 'fixed'
  /** Pause before the second attempt, 0 to 604 800 000. @default 5000 */
  readonly pause_between_retries_milliseconds: number
  /** The longest pause. @default 3 600 000 */
  readonly max_pause_between_retries_milliseconds: number
  /** Length of a lease, 100 to 604 800 000. @default 30 000 */
  readonly timeout_milliseconds: number
  /** What happens to a job whose lease ran out. @default 'failed' */
  readonly timeout_with_result: TimeoutResult
  /** Which finished jobs are kept for reading. @default 'all' */
  readonly keep_history: 'all' | 'dead' | 'none'
  /** Days that finished jobs are kept, 1 to 30. @default 7 */
  readonly history_days: number
  /** Days that dead jobs are kept, 1 to 30. @default 30 */
  readonly dead_days: number
  /** The largest payload, 1024 to 268 435 456 bytes. @default 1 048 576 */
  readonly max_payload_bytes: number
}

/** A queue as `get` tells of it. */
export interface QueueConfig extends QueueSettings {
  readonly queue_name: string
  /** Set while the queue is paused. */
  readonly paused_until: Date | 'infinity' | null
  readonly pause_reason: string | null
  readonly created_at: Date
}

/** Options of `pause`. */
export interface PauseOptions {
  /** When it goes on by itself. @default never: until `resume` */
  readonly paused_until?: Date | string
  /** Shown in the config. @default none */
  readonly reason?: string
  /** The call happens inside this transaction. @default a transaction of its own */
  readonly transaction?: Queryable
}

/** Options of `drop`. */
export interface DropOptions {
  /** Drop it with its live jobs. @default false: refuses with `wrong_state` while there are any */
  readonly force?: boolean
  /** The call happens inside this transaction. @default a transaction of its own */
  readonly transaction?: Queryable
}

const SETTINGS: Readonly<Record<keyof QueueSettings, string>> = {
  max_concurrency: 'integer', max_concurrency_per_group: 'integer', group_order: 'text', max_attempts: 'integer', retry_backoff: 'text',
  pause_between_retries_milliseconds: 'bigint', max_pause_between_retries_milliseconds: 'bigint', timeout_milliseconds: 'integer',
  timeout_with_result: 'text', keep_history: 'text', history_days: 'integer', dead_days: 'integer', max_payload_bytes: 'integer',
}

/** In SQL NULL leaves a setting as it is, so that 0 stands for "no limit". */
const LIMITS: readonly string[] = ['max_concurrency', 'max_concurrency_per_group']

/** Reads and changes the settings of a queue and of its endpoint, pauses, empties and drops it. */
export class PgQueueConfig {
  readonly db: Queryable
  readonly queue_name: string
  readonly schema_name: string
  readonly #schema: string

  constructor(db: Queryable, queue_name: string, schema_name: string = DEFAULT_SCHEMA) {
    expectText('queue_name', queue_name)
    this.db = db
    this.queue_name = queue_name
    this.schema_name = schema_name
    this.#schema = quoteName(schema_name)
  }

  /** The settings. Rejects with `queue_not_found` before the first job or `set`. */
  async get(transaction?: Queryable): Promise<QueueConfig> {
    const q = `SELECT to_json(c)::text AS r FROM ${this.#schema}.get_queue_config(queue_name => $1::text) AS c`
    return configOf(await callOne(transaction ?? this.db, q, [this.queue_name]))
  }

  /** Changes the settings given and leaves the others; makes the queue if it does not exist. `null` takes a limit away. */
  async set(settings: Partial<QueueSettings>, transaction?: Queryable): Promise<QueueConfig> {
    for (const [name, value] of Object.entries(settings)) {
      if (!(name in SETTINGS)) refuse('settings', `made of ${Object.keys(SETTINGS).join(', ')}`, name)
      if (value === null && !LIMITS.includes(name)) refuse(name, 'a value (only limits may be null)', value)
      if (value === 0 && LIMITS.includes(name)) refuse(name, 'a whole number from 1, or null for no limit', value)
    }
    const q = `SELECT to_json(c)::text AS r FROM ${this.#schema}.set_queue_config(${namedArguments({ queue_name: 'text', ...SETTINGS })}) AS c`
    const values = Object.keys(SETTINGS).map((name) => {
      const value = settings[name as keyof QueueSettings]
      return value === null ? '0' : param(value)
    })
    return configOf(await callOne(transaction ?? this.db, q, [this.queue_name, ...values]))
  }

  /** No job of the queue is picked until `paused_until` or `resume`; running ones go on. */
  async pause({ paused_until = 'infinity', reason, transaction }: PauseOptions = {}): Promise<void> {
    const types = { queue_name: 'text', paused_until: 'timestamptz', reason: 'text' }
    await callVoid(transaction ?? this.db, `SELECT ${this.#schema}.pause_queue(${namedArguments(types)})`, [
      this.queue_name, timeParam('paused_until', paused_until), param(reason),
    ])
  }

  /** Ends a pause. */
  async resume(transaction?: Queryable): Promise<void> {
    await callVoid(transaction ?? this.db, `SELECT ${this.#schema}.resume_queue(queue_name => $1::text)`, [this.queue_name])
  }

  /** Deletes the jobs that wait (ready, scheduled, held) and gives their number; running ones stay. */
  purge(transaction?: Queryable): Promise<number> {
    return callOne(transaction ?? this.db, `SELECT ${this.#schema}.purge_queue(queue_name => $1::text)::text`, [this.queue_name])
  }

  /** Drops the queue and its settings. */
  async drop({ force = false, transaction }: DropOptions = {}): Promise<void> {
    const types = { queue_name: 'text', force: 'boolean' }
    await callVoid(transaction ?? this.db, `SELECT ${this.#schema}.drop_queue(${namedArguments(types)})`, [this.queue_name, param(force)])
  }

  /**
   * Says where dispatchers send the jobs of this queue, and how; makes the queue if it does not exist. All details are
   * set: what is left out gets its default. With `active` false nothing is sent. Token and signing secret stay as they are.
   */
  setEndpoint(active: boolean, details: EndpointDetails, transaction?: Queryable): Promise<EndpointSettings> {
    return this.#endpoint(transaction).set(active, details)
  }

  /** The endpoint, without its secrets. Rejects with `queue_not_found`, or `endpoint_not_found` when the queue has none. */
  getEndpoint(transaction?: Queryable): Promise<EndpointSettings> {
    return this.#endpoint(transaction).get()
  }

  /** Switches sending on or off. Switching on also ends a hold, as after repeated failures. */
  setEndpointActive(active: boolean, transaction?: Queryable): Promise<void> {
    return this.#endpoint(transaction).setActive(active)
  }

  /** Removes the endpoint and its secrets; tells whether there was one. */
  removeEndpoint(transaction?: Queryable): Promise<boolean> {
    return this.#endpoint(transaction).remove()
  }

  /**
   * Sets the bearer token that each request carries in its Authorization header; null removes it. It is kept where
   * `endpoint_bearer_token_location` says; `wrong_state` when that is nowhere, or there is no Vault.
   */
  setQueueEndPointApiKey(key: string | null, transaction?: Queryable): Promise<void> {
    return this.#endpoint(transaction).setBearerToken(key)
  }

  /** The bearer token, or null. For admins only. */
  getQueueEndPointApiKey(transaction?: Queryable): Promise<string | null> {
    return this.#endpoint(transaction).getBearerToken()
  }

  /**
   * Sets the secret that signs each request (`whsec_…`, by Standard Webhooks), or makes one, and gives it. The one before
   * goes on signing beside it until `forgetPreviousSigningSecret` or the next rotation, so that handlers can change over.
   */
  rotateSigningSecret(secret?: string, transaction?: Queryable): Promise<string> {
    return this.#endpoint(transaction).setSigningSecret(secret)
  }

  /** Ends a rotation: only the newest secret signs. */
  forgetPreviousSigningSecret(transaction?: Queryable): Promise<void> {
    return this.#endpoint(transaction).forgetPreviousSigningSecret()
  }

  /** How the endpoint does: requests under way, limit, breaker. Undefined when there is none. */
  endpointStatus(transaction?: Queryable): Promise<EndpointStatus | undefined> {
    return this.#endpoint(transaction).status()
  }

  #endpoint(transaction: Queryable | undefined): EndpointCalls {
    return sqlEndpoint(transaction ?? this.db, this.schema_name, this.queue_name)
  }
}

type ConfigRow = QueueSettings & { queue_name: string; paused_until: string | null; pause_reason: string | null; created_at: string }

function configOf(row: ConfigRow): QueueConfig {
  const { paused_until } = row
  return {
    ...row,
    paused_until: paused_until === null || paused_until === 'infinity' ? paused_until : new Date(paused_until),
    created_at: new Date(row.created_at),
  }
}
