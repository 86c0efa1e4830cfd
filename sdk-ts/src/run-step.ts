/** Runs the step at which a run stands: finds its handler and its state, parses the payload. Shared by workers and endpoints. Mirrors no SQL file. */
import { PgqError, toPgqError } from './errors.ts'
import { refuse } from './expect.ts'
import { failJob, pauseJob, PAUSED, type JobOutcome } from './outcome.ts'
import { parsePayload } from './payload-schema.ts'
import type { Queryable } from './queryable.ts'
import { refusePayload } from './run-handler.ts'
import type { RunPosition, StepState } from './run-state.ts'
import { StepRun } from './step-context.ts'
import { StepOutcome, withoutStepOutcome } from './step-outcome.ts'
import type { RunningJob } from './worker-job.ts'
import type { RunnableWorkflow, Step, WorkflowVersion } from './workflow-step.ts'

/** Runs the step at which the run stands, and gives or throws what its handler does. */
export type RunStep = (job: RunningJob, position: RunPosition, transaction?: Queryable) => Promise<unknown>

/** The same trouble is told no more often than this. */
const TELL_AGAIN_MILLISECONDS = 10_000

/** A run or a job that nothing here can handle is left to others for so long. */
export function leaveMilliseconds(): number {
  return Math.round(2500 + Math.random() * 2500)
}

/** Gives a job back for others, and tells why. No attempt is used. */
export type LeaveJob = (error: PgqError) => JobOutcome

export function createLeaveJob(report: (error: PgqError) => void): LeaveJob {
  const told = new Map<string, number>()
  return (error) => {
    const now = performance.now()
    if (now - (told.get(error.message) ?? -Infinity) >= TELL_AGAIN_MILLISECONDS) {
      told.set(error.message, now)
      report(error)
    }
    return pauseJob({ delay_milliseconds: leaveMilliseconds() })
  }
}

export function createRunStep(workflows: readonly RunnableWorkflow[], leave: LeaveJob): RunStep {
  const places = placesOf(workflows)

  return async function runHandlerOfPgqStep(job, position, transaction) {
    const { workflow, workflow_version, step: step_id } = position
    const place = places.get(keyOf(job.queue_name, workflow, workflow_version))
    const step = place?.version.steps.get(step_id)
    if (!place || !step) return leave(noHandler(job, position))
    let state: StepState | undefined
    try {
      state = await position.state()
    } catch (error) {
      return leave(toPgqError(error))
    }
    if (state === undefined) return PAUSED // It has ended meanwhile: the release will find that out.
    let payload: unknown
    try {
      payload = await parsePayload(place.version.payload_schema, job.picked.payload, job.queue_name)
    } catch (error) {
      return refusePayload(error)
    }
    const context = new StepRun(place.workflow, job, position, state, transaction)
    if (context.failure === undefined) return withoutStepOutcome(await step.handler(payload, job.job_id, context))
    return step.compensate ? outcomeOfUndone(step, await step.compensate(payload, job.job_id, context)) : leave(noHandler(job, position))
  }
}

interface Place {
  readonly workflow: RunnableWorkflow
  readonly version: WorkflowVersion
}

function placesOf(workflows: readonly RunnableWorkflow[]): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>()
  for (const workflow of workflows) {
    for (const version of workflow.versions.values()) {
      const key = keyOf(workflow.queue_name, workflow.workflow_id, version.version)
      if (places.has(key)) refuse('workflows', 'workflows of different ids or versions', `two of id '${workflow.workflow_id}', version ${version.version}`)
      places.set(key, { workflow, version })
    }
  }
  return places
}

function keyOf(queue_name: string, workflow: string, version: number): string {
  return JSON.stringify([queue_name, workflow, version])
}

function noHandler({ queue_name }: RunningJob, { workflow, workflow_version, step }: RunPosition): PgqError {
  const message = `no handler here for step "${step}" of workflow "${workflow}", version ${workflow_version}, in queue "${queue_name}": its runs are left to other workers`
  return new PgqError('workflow_not_found', message)
}

function outcomeOfUndone({ id }: Step, value: unknown): unknown {
  return value instanceof StepOutcome ? failJob(`the compensation of step "${id}" asked for what only a step can ask for`) : value
}
