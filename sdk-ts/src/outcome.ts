/** What a handler's return value or error means. Mirrors the results of functions/65-release.sql. */
import { refuse, show } from './expect.ts'
import type { ReleaseResult } from './job-source.ts'
import { storable } from './release.ts'

const IS_OUTCOME = Symbol.for('pgq.outcome')

/** What becomes of a job: made by `completeJob`, `failJob` and `pauseJob`; a handler returns or throws it. */
export interface JobOutcome {
  readonly [IS_OUTCOME]: true
  /** 'next': a step of a run that is complete, and says what comes then. */
  readonly result: ReleaseResult | 'next'
  /** JSON text. */
  readonly output: string | undefined
  /** JSON text: see `StepOutcome`. */
  readonly next: string | undefined
  readonly error: string | undefined
  readonly delay_milliseconds: number | undefined
  /** false with 'failed': dead at once. */
  readonly retry: boolean
}

/** Options of `failJob`. */
export interface FailJobOptions {
  /** false: dead at once, whatever attempts are left. @default true */
  readonly retry?: boolean
  /** The next attempt comes after this long. @default the queue's backoff */
  readonly delay_milliseconds?: number
}

/** Options of `pauseJob`. */
export interface PauseJobOptions {
  /** Pickable again after this long. @default 0 */
  readonly delay_milliseconds?: number
}

/** The job is done; `output` (JSON) is its result, also where it is a word like 'failed'. The same as returning `output`. */
export function completeJob(output?: unknown): JobOutcome {
  return outcome('complete', { output: jsonOf(output) })
}

/**
 * The attempt failed; the same as throwing `error`, with options: `return failJob('no such customer', { retry: false })`
 * makes the job dead at once.
 */
export function failJob(error: unknown, options: FailJobOptions = {}): JobOutcome {
  return outcome('failed', { error: errorText(error), delay_milliseconds: delayOf(options), retry: options.retry ?? true })
}

/** Gives the job back without using an attempt: `return pauseJob({ delay_milliseconds: 60_000 })`. */
export function pauseJob(options: PauseJobOptions = {}): JobOutcome {
  return outcome('paused', { delay_milliseconds: delayOf(options) })
}

/** What a handler that returned `value` means. */
export function outcomeOfValue(value: unknown): JobOutcome {
  if (value === undefined) return COMPLETE
  if (isOutcome(value)) return value
  switch (value) {
    case 'complete': return COMPLETE
    case 'paused': return PAUSED
    case 'failed': return outcome('failed', { error: "the handler returned 'failed'" })
    default: return completeJob(value)
  }
}

/** What a handler that threw `error` means. */
export function outcomeOfError(error: unknown): JobOutcome {
  return isOutcome(error) ? error : outcome('failed', { error: errorText(error) })
}

/** A step that is done with `output`, and what comes then (both are written as JSON). */
export function nextOutcome(output: unknown, next: object): JobOutcome {
  return outcome('next', { output: jsonOf(output), next: jsonOf(next) })
}

function isOutcome(x: unknown): x is JobOutcome {
  return typeof x === 'object' && x !== null && IS_OUTCOME in x
}

function outcome(result: JobOutcome['result'], rest: Partial<JobOutcome> = {}): JobOutcome {
  return { [IS_OUTCOME]: true, result, output: undefined, next: undefined, error: undefined, delay_milliseconds: undefined, retry: true, ...rest }
}

/** Shared, because nearly every job ends so. */
export const COMPLETE = outcome('complete')
export const PAUSED = outcome('paused')

function delayOf({ delay_milliseconds }: PauseJobOptions): number | undefined {
  if (delay_milliseconds === undefined) return undefined
  if (!(delay_milliseconds >= 0 && delay_milliseconds <= Number.MAX_SAFE_INTEGER)) {
    refuse('delay_milliseconds', 'a number from 0', delay_milliseconds)
  }
  return Math.round(delay_milliseconds)
}

function jsonOf(output: unknown): string | undefined {
  // A function or a symbol has no JSON: no output, as with undefined.
  return JSON.stringify(output) as string | undefined
}

const MAX_FRAMES = 8
const MAX_ERROR_LENGTH = 8000

/** Name, message, the first frames of the stack above `runHandlerOfPgq` (the worker's own), and the causes. */
export function errorText(error: unknown): string {
  const parts: string[] = []
  for (let cause: unknown = error, depth = 0; cause !== undefined && depth < 5; depth++) {
    parts.push(depth === 0 ? oneErrorText(cause) : `caused by ${oneErrorText(cause)}`)
    cause = cause instanceof Error ? cause.cause : undefined
  }
  const text = storable(parts.join('\n'))!
  return text.length > MAX_ERROR_LENGTH ? `${text.slice(0, MAX_ERROR_LENGTH)}…` : text
}

function oneErrorText(error: unknown): string {
  if (typeof error === 'string') return error
  if (!(error instanceof Error)) return `not an Error was thrown: ${jsonOrShow(error)}`
  const [stack = ''] = (error.stack ?? '').split(/^.*runHandlerOfPgq/m)
  const frames = stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && !/\((node|ext|deno|bun):/.test(line) && !/at (node|ext):/.test(line))
  return [`${error.name}: ${error.message}`, ...frames.slice(0, MAX_FRAMES)].join('\n')
}

function jsonOrShow(value: unknown): string {
  try {
    return JSON.stringify(value) ?? show(value)
  } catch {
    return show(value) // Circular: a short picture must do.
  }
}
