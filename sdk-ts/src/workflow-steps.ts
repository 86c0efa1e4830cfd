/** `steps(schema).step({…}).step({…})`: an array of steps in which each knows the types of the outputs before it. Mirrors no SQL file. */
import type { PayloadSchema } from './payload-schema.ts'
import type { OutputOf } from './step-output.ts'
import type { Step, StepContext, StepSettings } from './workflow-step.ts'

/** A step of a list: as `Step`, with the type of what its handler returns. */
export interface TypedStep<Id extends string, Parsed, Outputs, Returned> extends StepSettings {
  readonly id: Id
  handler(payload: Parsed, job_id: number, context: StepContext<Outputs>): Returned | Promise<Returned>
  compensate?(payload: Parsed, job_id: number, context: StepContext<Outputs & Readonly<Record<Id, OutputOf<Returned>>>>): unknown
}

/** Steps in their order. Taken wherever an array of steps is. */
export class StepList<T = unknown, Parsed = T, Outputs = object> {
  readonly list: readonly Step[]
  readonly payload_schema: PayloadSchema<T, Parsed> | undefined
  /** The types of the outputs, by the ids of the steps; there is no value. */
  declare readonly outputs: Outputs

  constructor(list: readonly Step[], payload_schema: PayloadSchema<T, Parsed> | undefined) {
    this.list = list
    this.payload_schema = payload_schema
  }

  /** These steps and one more. */
  step<const Id extends string, Returned>(
    step: TypedStep<Id, Parsed, Outputs, Returned>,
  ): StepList<T, Parsed, Outputs & Readonly<Record<Id, OutputOf<Returned>>>> {
    return new StepList<T, Parsed, Outputs & Readonly<Record<Id, OutputOf<Returned>>>>([...this.list, step as Step], this.payload_schema)
  }
}

/**
 * Begins a list of steps whose outputs are typed:
 *
 * ```ts
 * const signup = steps(z.object({ name: z.string() }))
 *   .step({ id: 'create', handler: async ({ name }) => ({ customer_id: await create(name) }) })
 *   .step({ id: 'welcome', handler: (_payload, _job_id, { outputs }) => welcome(outputs.create.customer_id) })
 * new MultiStepPgQueue(db, 'signups', 'signup', signup)
 * ```
 * Without a schema: `steps<{ name: string }>()`.
 */
export function steps<T, Parsed = T>(payload_schema?: PayloadSchema<T, Parsed>): StepList<T, Parsed> {
  return new StepList<T, Parsed>([], payload_schema)
}
