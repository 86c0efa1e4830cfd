/** The options of `startWorker`, and what a worker tells. Mirrors no SQL file. */
import { expectText, expectWhole, refuse } from './expect.ts'
import type { JobContext } from './worker-job.ts'

/** Runs one job. Returning completes it: see `completeJob`, `failJob` and `pauseJob` for the other ways; throwing fails it. */
export type JobHandler<T> = (payload: T, job: JobContext) => unknown

/** Where a worker writes what it does; `console` is one. Methods that are left out are not called. */
export interface WorkerLogger {
  debug?(message: string, details?: Readonly<Record<string, unknown>>): void
  info?(message: string, details?: Readonly<Record<string, unknown>>): void
  warn?(message: string, details?: Readonly<Record<string, unknown>>): void
  error?(message: string, details?: Readonly<Record<string, unknown>>): void
}

/** Options of `startWorker`. */
export interface WorkerOptions {
  /** Jobs that run at the same time in this worker. @default 10 */
  readonly concurrency?: number
  /** How often an idle worker looks for jobs, whatever notifications say. @default 1000 */
  readonly poll_interval_milliseconds?: number
  /** Shown in the history of its jobs. Must be unique among live workers. @default 'worker-' and random characters */
  readonly worker?: string
  /**
   * Length of the lease of jobs and queues that have none of their own. The worker keeps a lease alive while the job
   * runs: it is how long a crashed worker's job waits. @default the queue's timeout_milliseconds (30 000)
   */
  readonly timeout_milliseconds?: number
  /**
   * A job that runs longer is failed and its `signal` aborts; its place stays taken until its handler returns.
   * @default no limit
   */
  readonly max_run_milliseconds?: number
  /** Pick also above the queues' max_concurrency. @default false */
  readonly ignore_max_concurrency?: boolean
  /** Add the jobs that are due by schedules, of any queue; whoever comes first does it. @default true */
  readonly drive_schedules?: boolean
  /** Stops the worker gracefully when it aborts. @default none */
  readonly signal?: AbortSignal
  /** @default none: a worker prints nothing */
  readonly logger?: WorkerLogger
  /** Called with what goes wrong outside of handlers, e.g. a lost connection; the worker goes on. @default none */
  readonly on_error?: (error: unknown) => void
}

/** Options of `stop`. */
export interface StopOptions {
  /** Do not wait for running handlers: abort their signals and give their jobs back at once. @default false */
  readonly hard?: boolean
  /** After this long a graceful stop becomes a hard one. @default no limit */
  readonly timeout_milliseconds?: number
}

/** A worker in figures. */
export interface WorkerStats {
  /** Jobs whose handler runs now. */
  readonly running: number
  /** Jobs picked and not begun. */
  readonly waiting: number
  /** Jobs that have finished and are not recorded yet. */
  readonly unrecorded: number
  /** Jobs picked since the start. */
  readonly picked: number
  /** Jobs, and steps of runs, recorded as complete since the start; the same for the others. */
  readonly complete: number
  readonly failed: number
  readonly paused: number
  /** Jobs whose lease was lost, or that were cancelled, before they were recorded. */
  readonly lost: number
  /** The last error outside of handlers. */
  readonly last_error: unknown
}

/** A running worker. */
export interface Worker {
  /** Its name in the history of its jobs. */
  readonly worker: string
  /**
   * Stops: picks nothing more, waits for running handlers, records their results, gives back what it has not begun
   * (no attempt is used), and resolves then. May be called again, e.g. with `hard`, while it stops.
   */
  stop(options?: StopOptions): Promise<void>
  /** Resolves when it has stopped, whoever stopped it. */
  readonly stopped: Promise<void>
  stats(): WorkerStats
  /** The same as `stop()`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Options with all defaults. */
export interface WorkerSettings extends WorkerOptions {
  readonly concurrency: number
  readonly poll_interval_milliseconds: number
  readonly worker: string
}

export function workerSettings(options: WorkerOptions): WorkerSettings {
  const { concurrency = 10, poll_interval_milliseconds = 1000, worker = randomName() } = options
  expectWhole('concurrency', concurrency, 1, 100_000)
  expectWhole('poll_interval_milliseconds', poll_interval_milliseconds, 1, 3_600_000)
  expectWhole('timeout_milliseconds', options.timeout_milliseconds, 100, 604_800_000)
  expectWhole('max_run_milliseconds', options.max_run_milliseconds, 1, 2 ** 31 - 1)
  expectText('worker', worker)
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) refuse('signal', 'an AbortSignal', options.signal)
  return { ...options, concurrency, poll_interval_milliseconds, worker }
}

function randomName(): string {
  return `worker-${crypto.randomUUID().slice(0, 8)}`
}
