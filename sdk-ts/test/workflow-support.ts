/** What the tests of workflows share. */
import {
  MultiStepPgQueue, startWorker, type AnyWorkflow, type FinishedJob, type Queryable, type Step, type Worker, type WorkflowOptions, type WorkerOptions,
} from '../src/index.ts'
import { newQueue, stopAfterwards } from './support.ts'

/** A workflow in a queue of its own, whose failed steps come back soon. */
export async function newWorkflow<T = { n: number }>(
  db: Queryable, steps: readonly Step<T>[], options: WorkflowOptions<T> = {}, settings: object = {},
): Promise<MultiStepPgQueue<T>> {
  const { queue_name } = await newQueue(db, settings)
  return new MultiStepPgQueue<T>(db, queue_name, 'w', steps, undefined, undefined, options)
}

/** A worker that is stopped after the tests of the file. */
export function work(workflows: AnyWorkflow | readonly AnyWorkflow[], options: WorkerOptions = {}): Worker {
  return stopAfterwards(startWorker(workflows, options))
}

/** Starts a run and works it to its end. */
export async function runOf<T>(workflow: MultiStepPgQueue<T>, payload: T): Promise<FinishedJob<T>> {
  const { job_id } = await workflow.addJob(payload)
  await using _worker = startWorker(workflow as AnyWorkflow)
  return await workflow.waitForResult(job_id)
}
