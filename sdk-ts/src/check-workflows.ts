/** `checkWorkflows`: does the code still have every step at which a run stands? Mirrors functions/56-workflow.sql (`workflow_versions`). */
import { refuse } from './expect.ts'
import type { Queryable } from './queryable.ts'
import { workflowVersions, type WorkflowVersionStatus } from './workflow-versions.ts'
import type { WorkflowVersion } from './workflow-step.ts'

/** What of a workflow is compared; a `MultiStepPgQueue` is one. */
export interface CheckedWorkflow {
  readonly queue_name: string
  readonly schema_name: string
  readonly workflow_id: string
  readonly versions: ReadonlyMap<number, Pick<WorkflowVersion, 'steps'>>
}

/** Open runs for which the code has no handler. */
export interface MissingStep {
  readonly queue_name: string
  readonly workflow: string
  readonly version: number
  readonly step: string
  readonly open_runs: number
  /** What the code lacks. */
  readonly missing: 'workflow' | 'version' | 'step'
}

/**
 * The steps at which runs stand in the queues of these workflows, and which these workflows do not have: nothing, if all is
 * well. Give all workflows of a queue. `npx pgq check-workflows` does it for CI.
 */
export async function checkWorkflows(
  db: Queryable, workflows: readonly CheckedWorkflow[] | Readonly<Record<string, CheckedWorkflow>>,
): Promise<MissingStep[]> {
  const list: readonly CheckedWorkflow[] = Array.isArray(workflows) ? workflows : Object.values(workflows)
  if (list.length === 0) refuse('workflows', 'some workflows', workflows)
  const missing: MissingStep[] = []
  for (const schema_name of new Set(list.map((workflow) => workflow.schema_name))) {
    const of_schema = list.filter((workflow) => workflow.schema_name === schema_name)
    const queue_names = new Set(of_schema.map((workflow) => workflow.queue_name))
    // All at once, because a queue may not exist yet.
    const known = await workflowVersions(db, { schema_name })
    for (const version of known) if (queue_names.has(version.queue_name)) missing.push(...missingSteps(version, of_schema))
  }
  return missing
}

function missingSteps({ queue_name, workflow, version, open_runs_by_step }: WorkflowVersionStatus, list: readonly CheckedWorkflow[]): MissingStep[] {
  const same = list.filter((one) => one.queue_name === queue_name && one.workflow_id === workflow)
  const steps = same.map((one) => one.versions.get(version)?.steps).find((found) => found !== undefined)
  return Object.entries(open_runs_by_step)
    .filter(([step]) => !steps?.has(step))
    .map(([step, open_runs]) => ({
      queue_name, workflow, version, step, open_runs, missing: same.length === 0 ? 'workflow' : steps === undefined ? 'version' : 'step',
    }))
}
