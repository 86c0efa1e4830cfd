/** The options of `startDispatcher`, and what a dispatcher tells. Mirrors no SQL file. */
import { expectText, expectWhole, refuse } from './expect.ts'
import { DEFAULT_SCHEMA } from './sql-call.ts'
import type { WorkerLogger } from './worker-options.ts'

/** Options of `startDispatcher`. */
export interface DispatcherOptions {
  /** The schema that pgq lives in. @default 'pgq' */
  readonly schema_name?: string
  /** Only these queues. @default all that have an active endpoint */
  readonly queue_names?: readonly string[]
  /**
   * Requests of this dispatcher that may be under way at once, of all endpoints together. Each endpoint has a limit of its
   * own besides (`endpoint_max_in_flight`), and none gets all places. @default 1000
   */
  readonly concurrency?: number
  /** How often an idle dispatcher looks for jobs, whatever notifications say. @default 1000 */
  readonly poll_interval_milliseconds?: number
  /** Stops by itself after this long, gracefully (see `stop`), for a function that is called on a schedule. @default never */
  readonly exit_after_milliseconds?: number
  /** Shown in the history of the jobs. Must be unique among live dispatchers. @default 'dispatcher-' and random characters */
  readonly dispatcher?: string
  /**
   * Sends the requests, e.g. through a proxy. It must not follow redirects (it is told so) and must heed its signal.
   * @default in Node its http client, which takes a quarter of the time; elsewhere the global fetch
   */
  readonly fetch?: typeof fetch
  /** Add the jobs that are due by schedules, of any queue; whoever comes first does it. @default true */
  readonly drive_schedules?: boolean
  /** Stops the dispatcher gracefully when it aborts. @default none */
  readonly signal?: AbortSignal
  /** @default none: a dispatcher prints nothing */
  readonly logger?: WorkerLogger
  /** Called with what goes wrong outside of requests, e.g. a lost connection; the dispatcher goes on. @default none */
  readonly on_error?: (error: unknown) => void
}

/** Options of a dispatcher's `stop`. */
export interface DispatcherStopOptions {
  /** Do not wait for requests under way: abort them and give their jobs back at once. @default false */
  readonly hard?: boolean
  /** After this long a graceful stop becomes a hard one. @default 30 000 */
  readonly timeout_milliseconds?: number
}

/** A dispatcher in figures. */
export interface DispatcherStats {
  /** Requests under way now. */
  readonly in_flight: number
  /** Answers that are not recorded yet. */
  readonly unrecorded: number
  /** Requests sent since the start. */
  readonly sent: number
  /** Jobs that their answers have completed since the start; the same for the others. */
  readonly complete: number
  /** Jobs that their handlers release themselves. */
  readonly accepted: number
  readonly failed: number
  readonly paused: number
  /** Answers that came too late: the lease was lost, or the job cancelled. */
  readonly ignored: number
  /** The last error outside of requests. */
  readonly last_error: unknown
}

/** A dispatcher that runs. */
export interface RunningDispatcher {
  /** Its name in the history of the jobs. */
  readonly dispatcher: string
  /**
   * Stops: sends nothing more, waits for the answers to what is under way, records them, and resolves then. May be called
   * again, e.g. with `hard`, while it stops.
   */
  stop(options?: DispatcherStopOptions): Promise<void>
  /** Resolves when it has stopped, whoever stopped it. */
  readonly stopped: Promise<void>
  stats(): DispatcherStats
  /** The same as `stop()`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Options with all defaults. */
export interface DispatcherSettings extends DispatcherOptions {
  readonly schema_name: string
  readonly concurrency: number
  readonly poll_interval_milliseconds: number
  readonly dispatcher: string
}

export function dispatcherSettings(options: DispatcherOptions): DispatcherSettings {
  const {
    schema_name = DEFAULT_SCHEMA, concurrency = 1000, poll_interval_milliseconds = 1000,
    dispatcher = `dispatcher-${crypto.randomUUID().slice(0, 8)}`,
  } = options
  expectWhole('concurrency', concurrency, 1, 100_000)
  expectWhole('poll_interval_milliseconds', poll_interval_milliseconds, 1, 3_600_000)
  expectWhole('exit_after_milliseconds', options.exit_after_milliseconds, 1, 2 ** 31 - 1)
  expectText('dispatcher', dispatcher)
  if (options.queue_names !== undefined && !Array.isArray(options.queue_names)) refuse('queue_names', 'an array of texts', options.queue_names)
  options.queue_names?.forEach((queue_name) => expectText('queue_names', queue_name))
  if (options.fetch !== undefined && typeof options.fetch !== 'function') refuse('fetch', 'a function', options.fetch)
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) refuse('signal', 'an AbortSignal', options.signal)
  return { ...options, schema_name, concurrency, poll_interval_milliseconds, dispatcher }
}
