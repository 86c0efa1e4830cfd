/** What a workflow is made of: its steps, and what a step's handler gets. Mirrors functions/56-workflow.sql and 57-run.sql. */
import type { TimeoutResult } from './add.ts'
import type { PayloadSchema } from './payload-schema.ts'
import type { Queryable } from './queryable.ts'
import type { JobState } from './release.ts'
import type { Stored } from './step-output.ts'
import type { DispatchedJobContext } from './worker-job.ts'

/** How a step is tried. What is left out is as the workflow's `step_defaults` say, then as the queue's settings do. */
export interface StepSettings {
  /** Length of the step's lease, 100 to 604 800 000: how long a worker may be silent. @default the queue's timeout_milliseconds */
  readonly custom_timeout_milliseconds?: number
  /** What happens when the lease runs out. @default the queue's timeout_with_result */
  readonly timeout_with_result?: TimeoutResult
  /** Attempts in all at this step, 1 to 1000. @default the run's own, or the queue's max_attempts */
  readonly max_attempts?: number
  /** @default the queue's retry_backoff */
  readonly retry_backoff?: 'exponential' | 'fixed'
  /** @default the queue's pause_between_retries_milliseconds */
  readonly pause_between_retries_milliseconds?: number
  /** @default the queue's max_pause_between_retries_milliseconds */
  readonly max_pause_between_retries_milliseconds?: number
}

/** Outputs of steps whose types nobody knows. */
export type AnyOutputs = Readonly<Record<string, unknown>>

/** One step of a workflow. It is tried until it succeeds, so what it does must bear to be done again: see `context.once`. */
export interface Step<Payload = unknown, Outputs = AnyOutputs> extends StepSettings {
  /** Its name: runs stand at it, so a step at which runs stand must keep it. */
  readonly id: string
  /**
   * Does the step. Nothing (or 'complete') returned: the next step is ready. Any other value is the step's output. 'failed',
   * 'paused', and what `failJob`, `pauseJob`, `sleepFor`, `startChildren`, `waitForSignal`, `goToStep` and `completeRun`
   * make, are done as they say. Throwing fails the attempt.
   */
  handler(payload: Payload, job_id: number, context: StepContext<Outputs>): unknown
  /** Undoes the step: called, backwards from the last step done, when the run would die. `context.failure` says of what. */
  compensate?(payload: Payload, job_id: number, context: StepContext<Outputs>): unknown
}

/** A finished child of a run. */
export interface ChildResult {
  readonly job_id: number
  readonly state: 'complete' | 'dead' | 'cancelled'
  readonly output: unknown
  readonly error: string | null
}

/** A signal as a run received it. */
export interface ReceivedSignal {
  readonly name: string
  readonly payload: unknown
}

/** Options of `context.finish`. */
export interface FinishOptions {
  /** The step is finished in this transaction: what else you write in it commits with it, or neither does. @default a transaction of its own */
  readonly transaction?: Queryable
}

/** Options of `context.makeSignalToken`. */
export interface SignalTokenOptions {
  /** How long the token is good for. @default 7 days */
  readonly valid_milliseconds?: number
  /** The call happens inside this transaction. @default a transaction of its own */
  readonly transaction?: Queryable
}

/** What a step's handler gets beside the payload and the id of the run. */
export interface StepContext<Outputs = AnyOutputs> {
  /** The id of the run: the same at all steps. */
  readonly job_id: number
  readonly queue_name: string
  readonly workflow: string
  /** The version on which the run began. */
  readonly workflow_version: number
  readonly step: string
  /** What the steps before have returned, by their ids, as JSON brings it back. A step that was skipped has none. */
  readonly outputs: Outputs
  /** The results of the children that the step before has started, in their order. */
  readonly children: readonly ChildResult[]
  /** The signal that the step before has waited for; undefined when it did not come in time. */
  readonly received_signal: ReceivedSignal | undefined
  /** In `compensate`: the error of which the run would die. */
  readonly failure: string | undefined
  /** Of this step; counts from 1. */
  readonly attempt: number
  /** Attempts in all at this step. */
  readonly max_attempts: number
  readonly headers: Readonly<Record<string, unknown>> | null
  /** Aborts when the work is in vain, as `job.signal` of any job. */
  readonly signal: AbortSignal
  /** The run as the job that it is. */
  readonly job: DispatchedJobContext
  /** The transaction that was given to `processNextJob` or `processJob`. */
  readonly transaction: Queryable | undefined
  /**
   * Calls `work` and remembers what it gives, durably: at the next attempt of this step it gives that and does not call
   * `work` again. Between the end of `work` and the remembering a crash may come: then `work` is called again.
   */
  once<T>(name: string, work: () => T | Promise<T>): Promise<Stored<T>>
  /**
   * Finishes the step from within its handler, in your own transaction: `await context.finish(output, { transaction })`.
   * `outcome` is what the handler would have returned, which is then ignored. Rejects with `lease_lost`.
   */
  finish(outcome?: unknown, options?: FinishOptions): Promise<JobState>
  /** A secret that sends the signal `name` to this run, once: for a link in a mail, see `createSignalHandler`. */
  makeSignalToken(name: string, options?: SignalTokenOptions): Promise<string>
}

/** The steps of one version of a workflow. */
export interface WorkflowVersion {
  readonly version: number
  readonly steps: ReadonlyMap<string, Step>
  readonly payload_schema: PayloadSchema<unknown, unknown> | undefined
}

/** What is needed of a workflow to run its steps. */
export interface RunnableWorkflow {
  readonly db: Queryable
  readonly schema_name: string
  readonly queue_name: string
  readonly workflow_id: string
  readonly versions: ReadonlyMap<number, WorkflowVersion>
}
