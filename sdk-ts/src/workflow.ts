/** `MultiStepPgQueue`: a workflow, that is a queue whose jobs go through an array of steps. Mirrors functions/56-workflow.sql to 64-compensation.sql. */
import type { AddedJob, AddJobOptions, AddJobsOptions } from './add.ts'
import { expectText, refuse } from './expect.ts'
import type { PayloadSchema } from './payload-schema.ts'
import { processNext, processReceived, type ProcessJobResponse } from './process-job.ts'
import type { Queryable } from './queryable.ts'
import { PgQueue, type DispatchedJob } from './queue.ts'
import { signalJob, type SignalOptions } from './signal.ts'
import { DEFAULT_SCHEMA } from './sql-call.ts'
import type { ChildJob } from './step-outcome.ts'
import type { FinishedJob, WaitOptions } from './wait-for-result.ts'
import { createDefinition, versionOf, type WorkflowDefinition } from './workflow-definition.ts'
import { retryFromStep, type RetryFromStepOptions } from './workflow-versions.ts'
import type { RunnableWorkflow, Step, StepSettings, WorkflowVersion } from './workflow-step.ts'
import { StepList } from './workflow-steps.ts'

/** Steps as a workflow takes them: an array, or what `steps(schema).step(…)` makes. */
export type Steps<T, Parsed> = readonly Step<Parsed>[] | StepList<T, Parsed, object>

/** Options of `new MultiStepPgQueue`. */
export interface WorkflowOptions<Parsed = unknown> {
  /** Raise it when steps at which runs may stand go, or mean something else: runs stay on the version on which they began. @default 1 */
  readonly version?: number
  /** The steps of older versions whose runs are not finished yet. @default none */
  readonly previous_versions?: Readonly<Record<number, readonly Step<Parsed>[] | StepList<unknown, unknown, object>>>
  /** What holds for steps that say nothing else. @default the queue's settings */
  readonly step_defaults?: StepSettings
}

/** Options of `addJob` of a workflow. */
export type AddRunOptions = Omit<AddJobOptions, 'workflow' | 'workflow_version'>

/** Options of `addJobs` of a workflow. */
export type AddRunsOptions = Omit<AddJobsOptions, 'workflow' | 'workflow_version'>

/** Options of `asChild`. */
export type ChildOptions = Omit<ChildJob, 'queue_name' | 'payload' | 'workflow' | 'workflow_version'>

/** A run of a workflow as an endpoint gets it in the body of a request. */
export interface DispatchedRun<T> extends DispatchedJob<T> {
  readonly step: { readonly workflow: string; readonly version: number; readonly id: string }
}

/**
 * A workflow: each job goes through the steps, one after the other, and each step is tried until it succeeds. A run is one
 * job, with one id from the first step to the last.
 *
 * ```ts
 * const signup = new MultiStepPgQueue(db, 'signups', 'signup', [
 *   { id: 'create', handler: async ({ name }) => ({ customer_id: await create(name) }) },
 *   { id: 'welcome', handler: async ({ name }, job_id, { outputs }) => { await welcome(name) } },
 * ], z.object({ name: z.string() }))
 * await signup.addJob({ name: 'Bob' })
 * const worker = startWorker(signup)
 * ```
 * Nothing is done with the database until the first job is added or run: then the steps are made known to it.
 */
export class MultiStepPgQueue<T = unknown, Parsed = T, Id extends string = string> implements RunnableWorkflow {
  readonly db: Queryable
  readonly queue_name: string
  readonly schema_name: string
  readonly workflow_id: Id
  /** That of new runs. */
  readonly version: number
  /** The newest first. */
  readonly versions: ReadonlyMap<number, WorkflowVersion>
  readonly #queue: PgQueue<T, Parsed>
  readonly #definition: WorkflowDefinition

  constructor(
    db: Queryable, queue_name: string, workflow_id: Id, steps: Steps<T, Parsed>, payload_schema?: PayloadSchema<T, Parsed>,
    schema_name: string = DEFAULT_SCHEMA, options: WorkflowOptions<NoInfer<Parsed>> = {},
  ) {
    const { version = 1, previous_versions = {}, step_defaults = {} } = options
    expectText('workflow_id', workflow_id)
    const schema = payload_schema ?? (steps instanceof StepList ? steps.payload_schema : undefined)
    this.#queue = new PgQueue<T, Parsed>(db, queue_name, { schema_name, ...(schema && { payload_schema: schema }) })
    this.db = db
    this.queue_name = queue_name
    this.schema_name = schema_name
    this.workflow_id = workflow_id
    this.version = version
    const versions = new Map([[version, versionOf(version, steps as Steps<unknown, unknown>, schema)]])
    for (const [name, older] of Object.entries(previous_versions)) {
      if (versions.has(Number(name))) refuse('previous_versions', `without the present version ${version}`, name)
      versions.set(Number(name), versionOf(Number(name), older as Steps<unknown, unknown>, schema))
    }
    this.versions = versions
    this.#definition = createDefinition(this, version, step_defaults)
  }

  /** Starts a run. Rejects with `payload_invalid` if the payload does not fit the schema. */
  async addJob(payload: T, options: AddRunOptions = {}): Promise<AddedJob> {
    await this.#definition.defineForAdd(options.transaction)
    return this.#queue.addJob(payload, { ...options, workflow: this.workflow_id, workflow_version: this.version })
  }

  /** Starts any number of runs in one call, all or none; gives their ids in the order of the payloads. */
  async addJobs(payloads: readonly T[], options: AddRunsOptions = {}): Promise<number[]> {
    await this.#definition.defineForAdd(options.transaction)
    return this.#queue.addJobs(payloads, { ...options, workflow: this.workflow_id, workflow_version: this.version })
  }

  /** This workflow as a child that a step starts: `return startChildren(names.map((name) => greet.asChild({ name })))`. */
  asChild(payload: T, options: ChildOptions = {}): ChildJob {
    return { ...options, queue_name: this.queue_name, payload, workflow: this.workflow_id, workflow_version: this.version }
  }

  /** The queue underneath, for reading, cancelling and settings. */
  getRawQueue(): PgQueue<T, Parsed> {
    return this.#queue
  }

  /** Is this parsed request body a run of this workflow, with a payload that fits? */
  ownsJob(x: unknown): x is DispatchedRun<T> {
    return this.#queue.ownsJob(x) && (x as Partial<DispatchedRun<T>>).step?.workflow === this.workflow_id
  }

  /**
   * Picks a run of the queue and runs the step at which it stands: `had_job` is false when there is none. For loops of your
   * own; `startWorker` does more. In a `transaction` all of it happens in there, and `context.transaction` is it.
   */
  processNextJob(ignore_max_concurrency = false, transaction?: Queryable): Promise<ProcessJobResponse> {
    return processNext(this, ignore_max_concurrency, transaction)
  }

  /** Runs the step of a dispatched run (a parsed request body) and releases it: for an endpoint with manual release. */
  processJob(body: unknown, transaction?: Queryable): Promise<ProcessJobResponse> {
    return processReceived(this, body, transaction)
  }

  /** Resolves when the run has finished: see `state`, `output` and `error`. */
  waitForResult(job_id: number, options: WaitOptions = {}): Promise<FinishedJob<T>> {
    return this.#queue.waitForResult(job_id, options)
  }

  /** Sends a signal to a run: see `waitForSignal`. Gives false when it came early, and is kept. */
  signalJob(job_id: number, name: string, payload?: unknown, options: SignalOptions = {}): Promise<boolean> {
    return signalJob(options.transaction ?? this.db, job_id, name, payload, this.schema_name)
  }

  /** Has a run that is finished, or backs off, go on from this step, or from the one at which it stands. Later outputs are dropped. */
  retryFromStep(job_id: number, step?: string, options: RetryFromStepOptions = {}): Promise<void> {
    return retryFromStep(options.transaction ?? this.db, job_id, step, this.schema_name)
  }

  /** Makes the steps known to the database. Adding and running do it by themselves; a deployment may do it before. */
  define(transaction?: Queryable): Promise<void> {
    return this.#definition.define(transaction)
  }
}
