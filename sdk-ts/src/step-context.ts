/** What a step's handler gets. Mirrors functions/58-step.sql (`finish_step`, `remember`) and 63-signal.sql (`make_signal_token`). */
import { expectText } from './expect.ts'
import { outcomeOfValue } from './outcome.ts'
import type { Queryable } from './queryable.ts'
import type { JobState } from './release.ts'
import { recordStep, sqlRuns, type RunCalls, type RunPosition, type StepState } from './run-state.ts'
import { withoutStepOutcome } from './step-outcome.ts'
import type { Stored } from './step-output.ts'
import type { DispatchedJobContext, RunningJob } from './worker-job.ts'
import type {
  AnyOutputs, ChildResult, FinishOptions, ReceivedSignal, RunnableWorkflow, SignalTokenOptions, StepContext,
} from './workflow-step.ts'

/** One step of one run in the hands of its handler. */
export class StepRun implements StepContext {
  readonly workflow: string
  readonly workflow_version: number
  readonly step: string
  readonly transaction: Queryable | undefined
  readonly #job: RunningJob
  readonly #state: StepState
  readonly #of: RunnableWorkflow
  readonly #remembered = new Map<string, Promise<unknown>>()

  constructor(of: RunnableWorkflow, job: RunningJob, position: RunPosition, state: StepState, transaction: Queryable | undefined) {
    this.workflow = position.workflow
    this.workflow_version = position.workflow_version
    this.step = position.step
    this.transaction = transaction
    this.#of = of
    this.#job = job
    this.#state = state
    for (const [name, value] of Object.entries(state.once ?? {})) this.#remembered.set(name, Promise.resolve(value))
  }

  get job_id(): number {
    return this.#job.job_id
  }
  get queue_name(): string {
    return this.#job.queue_name
  }
  get attempt(): number {
    return this.#job.attempt
  }
  get max_attempts(): number {
    return this.#job.max_attempts
  }
  get headers(): Readonly<Record<string, unknown>> | null {
    return this.#job.headers
  }
  get signal(): AbortSignal {
    return this.#job.signal
  }
  get job(): DispatchedJobContext {
    return this.#job
  }
  get outputs(): AnyOutputs {
    return this.#state.outputs
  }
  get children(): readonly ChildResult[] {
    return this.#state.children ?? []
  }
  get received_signal(): ReceivedSignal | undefined {
    return this.#state.signal ?? undefined
  }
  get failure(): string | undefined {
    return this.#state.failure ?? undefined
  }

  // The functions are bound, because handlers take them out of the context: `({ outputs, once }) => …`.

  readonly once = <T>(name: string, work: () => T | Promise<T>): Promise<Stored<T>> => {
    expectText('name', name)
    let remembered = this.#remembered.get(name)
    if (remembered === undefined) {
      remembered = this.#doOnce(name, work)
      this.#remembered.set(name, remembered)
      // What has failed may be tried again.
      remembered.catch(() => this.#remembered.delete(name))
    }
    return remembered as Promise<Stored<T>>
  }

  async #doOnce(name: string, work: () => unknown): Promise<unknown> {
    const value = JSON.stringify(await work()) as string | undefined
    return this.#runs().remember(this.#job, name, value ?? 'null')
  }

  readonly finish = async (outcome?: unknown, { transaction = this.transaction }: FinishOptions = {}): Promise<JobState> => {
    const { db, schema_name } = this.#of
    const meant = outcomeOfValue(withoutStepOutcome(outcome))
    return this.#job.releaseBy(() => recordStep(transaction ?? db, schema_name, this.#job, meant))
  }

  readonly makeSignalToken = (name: string, options: SignalTokenOptions = {}): Promise<string> => {
    expectText('name', name)
    return this.#runs().makeSignalToken(this.job_id, name, options)
  }

  #runs(): RunCalls {
    return sqlRuns(this.transaction ?? this.#of.db, this.#of.schema_name)
  }
}
