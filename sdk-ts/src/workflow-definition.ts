/** Tells SQL which steps a workflow has: once per process, when it is first needed. Mirrors functions/56-workflow.sql. */
import { toPgqError } from './errors.ts'
import { expectText, expectWhole, refuse } from './expect.ts'
import type { PayloadSchema } from './payload-schema.ts'
import type { Queryable } from './queryable.ts'
import { callOne, namedArguments, param, quoteName } from './sql-call.ts'
import type { RunnableWorkflow, Step, StepSettings, WorkflowVersion } from './workflow-step.ts'
import { StepList } from './workflow-steps.ts'

/** The steps of a version, checked. */
export function versionOf(version: number, steps: readonly Step[] | StepList, payload_schema: PayloadSchema | undefined): WorkflowVersion {
  expectWhole('version', version, 1, 2 ** 31 - 1)
  const list = steps instanceof StepList ? steps.list : steps
  if (!Array.isArray(list) || list.length === 0) refuse('steps', 'an array of steps', steps)
  const by_id = new Map<string, Step>()
  for (const step of list as readonly Step[]) {
    expectText('id', step?.id)
    if (typeof step.handler !== 'function') refuse('handler', `a function at step '${step.id}'`, step.handler)
    if (by_id.has(step.id)) refuse('steps', 'steps of different ids', `two of id '${step.id}'`)
    by_id.set(step.id, step)
  }
  return { version, steps: by_id, payload_schema: steps instanceof StepList ? (steps.payload_schema ?? payload_schema) : payload_schema }
}

/** Tells what SQL does not know yet of one workflow. */
export interface WorkflowDefinition {
  /** All versions; rejects with what went wrong with the first that could not be told. */
  define(transaction?: Queryable): Promise<void>
  /** The version that new runs have. A role that may only add is content with what a worker has told. */
  defineForAdd(transaction?: Queryable): Promise<void>
}

export function createDefinition(workflow: RunnableWorkflow, newest: number, defaults: StepSettings): WorkflowDefinition {
  const { db, schema_name, queue_name, workflow_id, versions } = workflow
  const schema = quoteName(schema_name)
  const types = { queue_name: 'text', workflow: 'text', version: 'integer', steps: 'jsonb' }
  const q = `SELECT to_json(${schema}.define_workflow(${namedArguments(types)}))::text AS r`
  const known = new Set<number>()
  const telling = new Map<number, Promise<void>>()
  let is_denied = false

  function argumentsOf(version: number): [queue_name: string, workflow: string, version: number, steps: object[]] {
    const steps = [...versions.get(version)!.steps.values()].map((step) => documentOf({ ...defaults, ...step }))
    return [queue_name, workflow_id, version, steps]
  }

  async function tell(place: Queryable, version: number): Promise<void> {
    const [, , , steps] = argumentsOf(version)
    await callOne(place, q, [queue_name, workflow_id, param(version), JSON.stringify(steps)])
  }

  /** One call for all that ask meanwhile. */
  function defineOutside(version: number): Promise<void> {
    const under_way = telling.get(version)
    if (under_way) return under_way
    const call = tell(db, version).then(() => void known.add(version)).finally(() => telling.delete(version))
    telling.set(version, call)
    return call
  }

  async function defineVersion(version: number, transaction: Queryable | undefined): Promise<void> {
    if (known.has(version)) return
    await (transaction ? tell(transaction, version) : defineOutside(version))
  }

  async function defineIfAllowed(): Promise<void> {
    try {
      await defineOutside(newest)
    } catch (error) {
      if (toPgqError(error).code !== 'access_denied') throw error
      is_denied = true
    }
  }

  return {
    async define(transaction) {
      for (const version of versions.keys()) await defineVersion(version, transaction)
    },

    async defineForAdd(transaction) {
      if (is_denied || known.has(newest)) return
      const defining = defineIfAllowed()
      if (!transaction) return defining
      // Not awaited, because it may need the connection that the transaction has: it is for the adds to come.
      defining.catch(() => {})
      await transaction.exec(scriptOf(schema, argumentsOf(newest)))
    },
  }
}

/** Defines a workflow, if the role may: without an error, which would end the transaction. The arguments come as hex, which needs no quotes. */
function scriptOf(schema: string, given: readonly unknown[]): string {
  const bytes = new TextEncoder().encode(JSON.stringify(given))
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `DO $pgq_define$
DECLARE
  v_given jsonb := pg_catalog.convert_from(pg_catalog.decode('${hex}', 'hex'), 'UTF8');
BEGIN
  PERFORM ${schema}.define_workflow(v_given ->> 0, v_given ->> 1, (v_given ->> 2)::integer, v_given -> 3);
EXCEPTION WHEN insufficient_privilege THEN
  NULL; -- Then a worker must have defined it.
END $pgq_define$`
}

/** A step as `define_workflow` takes it. */
function documentOf({ id, compensate, custom_timeout_milliseconds, ...step }: Step): object {
  const { timeout_with_result, max_attempts, retry_backoff, pause_between_retries_milliseconds, max_pause_between_retries_milliseconds } = step
  return {
    id, max_attempts, timeout_milliseconds: custom_timeout_milliseconds, timeout_with_result, retry_backoff,
    pause_between_retries_milliseconds, max_pause_between_retries_milliseconds, ...(compensate && { compensates: true }),
  }
}
