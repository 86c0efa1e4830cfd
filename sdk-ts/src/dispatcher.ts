/** `startDispatcher` and `Dispatcher`: send the jobs of queues to their HTTP endpoints. Mirrors functions/77-dispatch.sql. */
import { sqlDispatchSource } from './dispatch-source.ts'
import { runDispatcher } from './dispatcher-loop.ts'
import {
  dispatcherSettings, type DispatcherOptions, type DispatcherStats, type DispatcherStopOptions, type RunningDispatcher,
} from './dispatcher-options.ts'
import { refuse } from './expect.ts'
import { isQueryable, type Queryable } from './queryable.ts'
import { DEFAULT_SCHEMA } from './sql-call.ts'
import { nodeTransport } from './transport-node.ts'
import { fetchTransport } from './transport.ts'

/**
 * Starts a dispatcher: it sends the jobs of all queues that have an endpoint (see `PgQueueConfig.setEndpoint`), and records
 * what is answered, until it is stopped. Run as many as you like.
 *
 * ```ts
 * const dispatcher = startDispatcher(db)
 * process.once('SIGTERM', () => dispatcher.stop())
 * ```
 */
export function startDispatcher(db: Queryable, options: DispatcherOptions = {}): RunningDispatcher {
  if (!isQueryable(db)) refuse('db', 'a Queryable, e.g. a PostgresDb', db)
  const settings = dispatcherSettings(options)
  const transport = (settings.fetch ? undefined : nodeTransport()) ?? fetchTransport(settings.fetch ?? globalThis.fetch)
  return runDispatcher(sqlDispatchSource(db, settings.schema_name, settings.queue_names), transport, settings)
}

/**
 * A dispatcher that begins in its constructor, and ends after so many seconds: for a function that is called on a
 * schedule. The better form is `startDispatcher`, which takes options and says by its name that it starts.
 *
 * ```ts
 * const dispatcher = new Dispatcher(db, 30)
 * await dispatcher.done
 * ```
 */
export class Dispatcher {
  /** Resolves when it has ended. It never rejects. */
  readonly done: Promise<void>
  readonly #running: RunningDispatcher

  /** Without `exit_after_seconds` it goes on until `stop`. */
  constructor(db: Queryable, exit_after_seconds?: number, schema_name: string = DEFAULT_SCHEMA) {
    if (exit_after_seconds !== undefined && !(exit_after_seconds > 0 && exit_after_seconds <= 86_400)) {
      refuse('exit_after_seconds', 'a number above 0, up to 86 400', exit_after_seconds)
    }
    this.#running = startDispatcher(db, {
      schema_name, ...(exit_after_seconds !== undefined && { exit_after_milliseconds: Math.ceil(exit_after_seconds * 1000) }),
    })
    this.done = this.#running.stopped
  }

  /** As that of `startDispatcher`. */
  stop(options?: DispatcherStopOptions): Promise<void> {
    return this.#running.stop(options)
  }

  stats(): DispatcherStats {
    return this.#running.stats()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
