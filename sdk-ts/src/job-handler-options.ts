/** The options of `createJobHandler`. Mirrors no SQL file. */
import { expectWhole, refuse } from './expect.ts'
import type { PayloadSchema } from './payload-schema.ts'
import type { Queryable } from './queryable.ts'
import type { DispatchedJobContext } from './worker-job.ts'
import type { WorkerLogger } from './worker-options.ts'

/** A queue whose jobs an endpoint handles: a `PgQueue`, or, where there is no database, its name and its payload schema. */
export interface EndpointQueue<Parsed = unknown> {
  readonly queue_name: string
  /** Parses the payloads. @default none: they are passed as they come */
  readonly payload_schema?: PayloadSchema<unknown, Parsed> | undefined
  /** Only needed for manual release, and for `job.release` and `job.keepAlive`. @default none: results are answered */
  readonly db?: Queryable
  /** The schema that pgq lives in. @default 'pgq' */
  readonly schema_name?: string
}

/** Runs one job that came by HTTP. A handler for `startWorker` that needs no more of `job` is one. */
export type EndpointHandler<T> = (payload: T, job: DispatchedJobContext) => unknown

/** What `createJobHandler` makes. */
export type JobRequestHandler = (request: Request) => Promise<Response>

/** Options of `createJobHandler`: how a request proves that it comes from a dispatcher, and how jobs are released. */
export interface JobHandlerOptions {
  /**
   * The endpoint's signing secret (`whsec_…`), or several while it is being changed: requests that are not signed with one
   * of them, or longer than five minutes ago, are refused. @default signatures are not checked
   */
  readonly signing_secret?: string | readonly string[] | undefined
  /** The endpoint's bearer token, or several: requests without one of them are refused. @default it is not checked */
  readonly bearer_token?: string | readonly string[] | undefined
  /** Accept requests that prove nothing. One of the three must be given. @default false */
  readonly is_insecure_allowed?: boolean
  /**
   * true: the handler's result is recorded through the queue's `db`, as an endpoint with `endpoint_manual_release` needs
   * it; the lease is kept alive meanwhile. @default what the request says, if the queue has a `db`
   */
  readonly manual_release?: boolean
  /**
   * With manual release: keeps the runtime alive until the work is done, so that the request is answered at once, e.g.
   * `(work) => context.waitUntil(work)`, or `(work) => void work` in a server of your own.
   * @default `EdgeRuntime.waitUntil` where there is one; else the answer waits for the work
   */
  readonly wait_until?: (work: Promise<unknown>) => void
  /** Larger requests are refused. @default 10 485 760 */
  readonly max_request_bytes?: number
  /** @default none: nothing is printed */
  readonly logger?: WorkerLogger
  /** Called with what goes wrong outside of your handler, e.g. a lost connection. @default none */
  readonly on_error?: (error: unknown) => void
}

/** Options with all defaults. */
export interface JobHandlerSettings extends JobHandlerOptions {
  readonly signing_secrets: readonly string[]
  readonly bearer_tokens: readonly string[]
  readonly max_request_bytes: number
}

export function jobHandlerSettings(options: JobHandlerOptions): JobHandlerSettings {
  const { max_request_bytes = 10_485_760, is_insecure_allowed = false } = options
  const signing_secrets = listOf(options, 'signing_secret')
  const bearer_tokens = listOf(options, 'bearer_token')
  if (signing_secrets.length === 0 && bearer_tokens.length === 0 && !is_insecure_allowed) {
    refuse('options', 'with a signing_secret or a bearer_token (or is_insecure_allowed: true)', options)
  }
  expectWhole('max_request_bytes', max_request_bytes, 1)
  const wait_until = options.wait_until ?? waitUntilOfRuntime()
  return { ...options, ...(wait_until && { wait_until }), signing_secrets, bearer_tokens, max_request_bytes }
}

/** A secret that is named but missing (an environment without it) must not open the door. */
function listOf(options: JobHandlerOptions, name: 'signing_secret' | 'bearer_token'): readonly string[] {
  if (!(name in options)) return []
  const given = options[name]
  const list = typeof given === 'string' ? [given] : (given ?? [])
  if (list.length === 0 || !list.every((secret) => typeof secret === 'string' && secret !== '')) {
    // Without what was given, which may be a secret.
    refuse(name, 'a text that is not empty, or several', given === undefined ? undefined : 'something else')
  }
  return list
}

/** Supabase Edge Functions have one. */
function waitUntilOfRuntime(): ((work: Promise<unknown>) => void) | undefined {
  const { EdgeRuntime } = globalThis as { EdgeRuntime?: { waitUntil?: (work: Promise<unknown>) => void } }
  return EdgeRuntime?.waitUntil && ((work) => EdgeRuntime.waitUntil!(work))
}
