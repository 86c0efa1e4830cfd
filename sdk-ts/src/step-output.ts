/** The types of what steps return, and of what becomes of it in the database. Mirrors no SQL file. */
import type { JobOutcome } from './outcome.ts'
import type { StepOutcome } from './step-outcome.ts'

/** A value after its way through JSON: a Date is a text, what JSON cannot hold is gone. */
export type Stored<T> = 0 extends 1 & T ? T // any
  : T extends string | number | boolean | null | undefined ? T
  : T extends { toJSON(): infer Json } ? Stored<Json>
  : T extends (...args: never) => unknown ? undefined
  : T extends object ? { [Key in keyof T]: Stored<T[Key]> }
  : T

/** The output of a step whose handler returns `Returned`. */
export type OutputOf<Returned> = Returned extends void | undefined | 'complete' ? undefined
  : Returned extends 'failed' | 'paused' | JobOutcome ? never
  : Returned extends StepOutcome<infer Output> ? Stored<Output>
  : Stored<Returned>
