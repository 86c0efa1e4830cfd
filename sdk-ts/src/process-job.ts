/** One step of one run at a time, for loops and endpoints of your own: `processNextJob` and `processJob`. Mirrors no SQL file. */
import { CompleteAndAdd, resultOf } from './job-handler-answer.ts'
import { addAndRelease, runAndRelease } from './job-handler-release.ts'
import { receivedJob } from './job-request.ts'
import type { Queryable } from './queryable.ts'
import { recordStep, type RunPosition } from './run-state.ts'
import { createLeaveJob, createRunStep, leaveMilliseconds } from './run-step.ts'
import { sqlJobSource } from './sql-job-source.ts'
import { RunningJob, type LeasedJob } from './worker-job.ts'
import type { RunnableWorkflow } from './workflow-step.ts'

/** What became of it. */
export type ProcessJobResponse =
  | { readonly status: 'ok'; readonly had_job: boolean }
  | { readonly status: 'error'; readonly error: ProcessJobError }

/** Why the step was not done, or not recorded. The run is released nevertheless where that was possible. */
export interface ProcessJobError {
  /** 'incompatible-job': not a run of this workflow; else the handler has thrown, or its result could not be recorded. */
  readonly type: 'incompatible-job' | 'unknown-error-handling-multistep'
  readonly sub_type?: 'job-not-owned' | 'bad-job-format'
  readonly message?: string
}

/** What is needed of the workflow. */
interface ProcessedWorkflow extends RunnableWorkflow {
  define(transaction?: Queryable): Promise<void>
  ownsJob(x: unknown): boolean
}

export async function processNext(
  workflow: ProcessedWorkflow, ignore_max_concurrency: boolean, transaction: Queryable | undefined,
): Promise<ProcessJobResponse> {
  await workflow.define(transaction)
  const { db, schema_name, queue_name, workflow_id } = workflow
  const source = sqlJobSource(db, schema_name)
  const request = { queue_names: [queue_name], max_jobs: 1, ignore_max_concurrency }
  const [picked] = await source.pick(request, { transaction, durable: transaction !== undefined })
  if (picked === undefined) return { status: 'ok', had_job: false }
  if (picked.run?.workflow === workflow_id) return doStep(workflow, picked, picked.run, transaction)
  await source.releaseOne(picked, 'paused', { delay_milliseconds: leaveMilliseconds(), ...(transaction && { transaction }) })
  return { status: 'error', error: { type: 'incompatible-job', sub_type: 'job-not-owned', message: `job ${picked.job_id} is no run of workflow "${workflow_id}"` } }
}

export async function processReceived(workflow: ProcessedWorkflow, body: unknown, transaction: Queryable | undefined): Promise<ProcessJobResponse> {
  const received = receivedJob(body)
  if (received === undefined) return { status: 'error', error: { type: 'incompatible-job', sub_type: 'bad-job-format' } }
  if (!workflow.ownsJob(body) || received.run === undefined) return { status: 'error', error: { type: 'incompatible-job', sub_type: 'job-not-owned' } }
  await workflow.define(transaction)
  return doStep(workflow, received, received.run, transaction)
}

/** Runs the step and releases the run. */
async function doStep(
  workflow: ProcessedWorkflow, leased: LeasedJob, position: RunPosition, transaction: Queryable | undefined,
): Promise<ProcessJobResponse> {
  let trouble: unknown
  const tell = (error: unknown): void => void (trouble ??= error)
  const runStep = createRunStep([workflow], createLeaveJob(tell))
  const run = async (job: RunningJob): Promise<unknown> => {
    try {
      return await runStep(job, position, transaction)
    } catch (error) {
      tell(error)
      throw error
    }
  }
  const { db, schema_name } = workflow
  if (transaction) await runInside(transaction, workflow, leased, run).catch(tell)
  else await runAndRelease({ db, schema_name, leased, run, on_error: tell })
  if (trouble === undefined) return { status: 'ok', had_job: true }
  const message = trouble instanceof Error ? trouble.message : String(trouble)
  return { status: 'error', error: { type: 'unknown-error-handling-multistep', message } }
}

/** Nobody else can see or take the job while the transaction that has picked it lasts, so its lease need not be kept alive. */
async function runInside(
  transaction: Queryable, { schema_name }: RunnableWorkflow, leased: LeasedJob, run: (job: RunningJob) => unknown,
): Promise<void> {
  const job = new RunningJob(leased, sqlJobSource(transaction, schema_name), performance.now())
  const result = await resultOf(() => run(job), () => job.is_released)
  if (result instanceof CompleteAndAdd) await addAndRelease(transaction, schema_name, job, result)
  else if (result !== undefined) await recordStep(transaction, schema_name, job, result)
}
