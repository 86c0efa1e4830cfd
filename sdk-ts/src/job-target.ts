/** What jobs can be added to by a schedule or a trigger: a queue or a workflow. Mirrors no SQL file. */
import type { PayloadSchema } from './payload-schema.ts'
import type { Queryable } from './queryable.ts'

/** Where a schedule or a trigger adds its jobs: a `PgQueue`, or a `MultiStepPgQueue`, of which they are runs. `T` is the type of their payloads. */
export interface JobTarget<T = unknown> {
  readonly db: Queryable
  readonly schema_name: string
  readonly queue_name: string
  /** Checks the payload of a schedule when it is set. */
  readonly payload_schema?: PayloadSchema<T, unknown> | undefined
  /** The workflow of which the jobs are runs: of its newest version. @default none: they are plain jobs */
  readonly workflow_id?: string
  /** The queue of the workflow, which has its schema. */
  getRawQueue?(): { readonly payload_schema: PayloadSchema<T, unknown> | undefined }
  /** Makes the workflow known to the database. */
  define?(transaction?: Queryable): Promise<void>
  addJob(payload: T): Promise<unknown>
}

/** Options of the calls that name a schedule or a trigger. */
export interface NamedOptions {
  /** The schema that pgq lives in. @default 'pgq' */
  readonly schema_name?: string
  /** The call happens inside this transaction. @default a transaction of its own */
  readonly transaction?: Queryable
}

/** Options of the calls that list. */
export interface ListOptions extends NamedOptions {
  /** Only those of this queue. @default all */
  readonly queue_name?: string
}
