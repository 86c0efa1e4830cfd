/** What a step may ask for beside its output: sleep, children, a signal, another step, the end. Mirrors functions/59-next.sql. */
import type { AddJobOptions } from './add.ts'
import { expectText, expectWhole, refuse } from './expect.ts'
import { nextOutcome } from './outcome.ts'
import { timeParam } from './sql-call.ts'

/** A job that a run starts, and whose result its next step gets. */
export interface ChildJob extends Pick<
  AddJobOptions, 'workflow' | 'workflow_version' | 'priority' | 'group_key' | 'start_after' | 'max_attempts' | 'headers' | 'timeout_milliseconds'
> {
  /** @default the run's own queue */
  readonly queue_name?: string
  readonly payload: unknown
}

/** How many children may fail: 'fail' for none, 'ignore' for all, or a number. */
export type FailedChildren = 'fail' | 'ignore' | number

/** What SQL calls `next`. */
interface NextStep {
  readonly step?: string
  readonly complete?: true
  readonly delay_milliseconds?: number
  readonly start_after?: string
  readonly children?: readonly ChildJob[]
  readonly failed_children?: FailedChildren
  readonly signal?: string
  readonly timeout_milliseconds?: number
}

/** A step that is done, and what comes then: a step's handler returns it. */
export class StepOutcome<Output = unknown> {
  readonly output: Output
  readonly next: NextStep

  constructor(output: Output, next: NextStep) {
    this.output = output
    this.next = next
  }

  /** The handler of a plain job would have it taken for an output. */
  toJSON(): never {
    throw new Error('sleepFor, startChildren, waitForSignal and the like are for steps of a MultiStepPgQueue')
  }
}

/** What a step's handler returned, as a runner of jobs knows it. */
export function withoutStepOutcome(value: unknown): unknown {
  return value instanceof StepOutcome ? nextOutcome(value.output, value.next) : value
}

/** Options of `startChildren`. */
export interface StartChildrenOptions<Output> {
  /**
   * Children that may die or be cancelled; with more the run dies. It is judged when all have finished: 'fail' is for
   * none, 'ignore' for any number.
   * @default 'fail'
   */
  readonly failed_children?: FailedChildren
  /** Of the step. @default none */
  readonly output?: Output
}

/** Options of `waitForSignal`. */
export interface WaitForSignalOptions<Output> {
  /** After this long the next step runs without the signal. @default it waits for ever */
  readonly timeout_milliseconds?: number
  /** Of the step. @default none */
  readonly output?: Output
}

/** Options of `goToStep`. */
export interface GoToStepOptions<Output> {
  /** Not before this long from now. @default at once */
  readonly delay_milliseconds?: number
  /** Not before this moment. @default now */
  readonly start_after?: Date | string
  /** Of the step. @default none */
  readonly output?: Output
}

/** The step is done; the next one comes after this long. Nothing and nobody waits meanwhile: it may be months. */
export function sleepFor<Output = undefined>(milliseconds: number, output?: Output): StepOutcome<Output> {
  expectWhole('milliseconds', Math.round(milliseconds), 0)
  return outcome(output, { delay_milliseconds: Math.round(milliseconds) })
}

/** The step is done; the next one comes at this moment. */
export function sleepUntil<Output = undefined>(moment: Date | string, output?: Output): StepOutcome<Output> {
  return outcome(output, { start_after: momentOf('moment', moment) })
}

/**
 * The step is done; these jobs are started with it, and the next step comes when all have finished: see
 * `context.children`. There may be thousands.
 */
export function startChildren<Output = undefined>(
  children: readonly ChildJob[], { failed_children, output }: StartChildrenOptions<Output> = {},
): StepOutcome<Output> {
  if (!Array.isArray(children)) refuse('children', 'an array', children)
  return outcome(output, { children, ...(failed_children !== undefined && { failed_children }) })
}

/** The step is done; the next one comes when somebody has sent the signal, even if that was before: see `context.received_signal`. */
export function waitForSignal<Output = undefined>(
  name: string, { timeout_milliseconds, output }: WaitForSignalOptions<Output> = {},
): StepOutcome<Output> {
  expectText('name', name)
  expectWhole('timeout_milliseconds', timeout_milliseconds, 1)
  return outcome(output, { signal: name, ...(timeout_milliseconds !== undefined && { timeout_milliseconds }) })
}

/** The step is done; the one with this id comes next, be it behind or ahead. */
export function goToStep<Output = undefined>(
  id: string, { delay_milliseconds, start_after, output }: GoToStepOptions<Output> = {},
): StepOutcome<Output> {
  expectText('id', id)
  expectWhole('delay_milliseconds', delay_milliseconds, 0)
  return outcome(output, {
    step: id,
    ...(delay_milliseconds !== undefined && { delay_milliseconds }),
    ...(start_after !== undefined && { start_after: momentOf('start_after', start_after) }),
  })
}

/** The whole run is complete, whatever steps would come; `output` is that of the step and of the run. */
export function completeRun<Output = undefined>(output?: Output): StepOutcome<Output> {
  return outcome(output, { complete: true })
}

function outcome<Output>(output: Output | undefined, next: NextStep): StepOutcome<Output> {
  return new StepOutcome(output as Output, next)
}

function momentOf(name: string, moment: Date | string): string {
  return timeParam(name, moment) ?? refuse(name, 'a Date or a text', moment)
}
