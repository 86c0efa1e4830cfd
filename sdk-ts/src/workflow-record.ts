/** `createMultiStepPgQueueAsRecord`: a workflow under its own id, so that TypeScript knows the ids of several. Mirrors no SQL file. */
import type { PayloadSchema } from './payload-schema.ts'
import type { Queryable } from './queryable.ts'
import { MultiStepPgQueue, type Steps, type WorkflowOptions } from './workflow.ts'

/**
 * The same as `new MultiStepPgQueue`, in an object with the workflow's id as its key:
 *
 * ```ts
 * const workflows = {
 *   ...createMultiStepPgQueueAsRecord(db, 'queue', 'v1', […], schema),
 *   ...createMultiStepPgQueueAsRecord(db, 'queue', 'v2', […], schema),
 * }
 * await workflows.v1.addJob({ name: 'Bob' })
 * ```
 */
export function createMultiStepPgQueueAsRecord<T = unknown, Parsed = T, const Id extends string = string>(
  db: Queryable, queue_name: string, workflow_id: Id, steps: Steps<T, Parsed>, payload_schema?: PayloadSchema<T, Parsed>,
  schema_name?: string, options?: WorkflowOptions<NoInfer<Parsed>>,
): { readonly [Key in Id]: MultiStepPgQueue<T, Parsed, Id> } {
  const workflow = new MultiStepPgQueue(db, queue_name, workflow_id, steps, payload_schema, schema_name, options)
  return { [workflow_id]: workflow } as { readonly [Key in Id]: MultiStepPgQueue<T, Parsed, Id> }
}
