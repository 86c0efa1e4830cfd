/** Versions of workflows and their open runs. Mirrors functions/56-workflow.sql (`workflow_versions`) and 58-step.sql (`retry_from_step`). */
import { expectWhole } from './expect.ts'
import type { Queryable } from './queryable.ts'
import { call, callVoid, DEFAULT_SCHEMA, namedArguments, param, quoteName } from './sql-call.ts'

/** A version of a workflow, and its runs that are not finished. */
export interface WorkflowVersionStatus {
  readonly queue_name: string
  readonly workflow: string
  readonly version: number
  readonly step_ids: readonly string[]
  readonly open_runs: number
  /** By the id of the step at which they stand. */
  readonly open_runs_by_step: Readonly<Record<string, number>>
  /** New runs have it, unless they name another. */
  readonly is_newest: boolean
  readonly defined_at: Date
}

/** Options of `workflowVersions`. */
export interface WorkflowVersionsOptions {
  /** Only those of this queue. @default all queues */
  readonly queue_name?: string
  /** Only those of this workflow. @default all */
  readonly workflow?: string
  /** The schema that pgq lives in. @default 'pgq' */
  readonly schema_name?: string
}

/** The versions that the database knows, with their open runs. */
export async function workflowVersions(db: Queryable, options: WorkflowVersionsOptions = {}): Promise<WorkflowVersionStatus[]> {
  const { queue_name, workflow, schema_name = DEFAULT_SCHEMA } = options
  const q = `SELECT to_json(v)::text AS r FROM ${quoteName(schema_name)}.workflow_versions(${namedArguments({ queue_name: 'text', workflow: 'text' })}) AS v`
  const rows = await call<Omit<WorkflowVersionStatus, 'defined_at'> & { defined_at: string }>(db, q, [param(queue_name), param(workflow)])
  return rows.map((row) => ({ ...row, defined_at: new Date(row.defined_at) }))
}

/** Options of `retryFromStep` of a workflow. */
export interface RetryFromStepOptions {
  /** The call happens inside this transaction. @default a transaction of its own */
  readonly transaction?: Queryable
}

/**
 * Has a run that is finished, or backs off, go on from the step of this id, or from the one at which it stands or has died.
 * The outputs of that step and of later ones are dropped. `db` may be a transaction. Rejects with `job_not_found` or
 * `job_in_another_state`.
 */
export async function retryFromStep(db: Queryable, job_id: number, step?: string, schema_name: string = DEFAULT_SCHEMA): Promise<void> {
  expectWhole('job_id', job_id, 1)
  await callVoid(db, `SELECT ${quoteName(schema_name)}.retry_from_step(${namedArguments({ job_id: 'bigint', step: 'text' })})`, [
    param(job_id), param(step),
  ])
}
