/** `startWorker`: runs a handler for each job of one or several queues. Mirrors functions/45-worker.sql and what it picks by. */
import { refuse } from './expect.ts'
import { PgQueue } from './queue.ts'
import { createReport } from './report.ts'
import { createRun } from './run-handler.ts'
import { createLeaveJob, createRunStep } from './run-step.ts'
import { sqlJobSource } from './sql-job-source.ts'
import type { HeldJob } from './worker-job.ts'
import { runWorker } from './worker-loop.ts'
import { workerSettings, type JobHandler, type Worker, type WorkerOptions } from './worker-options.ts'
import { byKind, definingFirst, type AnyWorkflow } from './workflows.ts'

/** What workers of a queue get as payload. */
export type PayloadOf<Queue> = Queue extends PgQueue<infer _T, infer Parsed> ? Parsed : never

/**
 * Starts a worker: it picks jobs, runs `handler` for each, keeps their leases alive meanwhile, and records the results,
 * until it is stopped.
 *
 * ```ts
 * const worker = startWorker(queue, async (payload, job) => { await send(payload.to) }, { concurrency: 20 })
 * process.once('SIGTERM', () => worker.stop())
 * ```
 * With several queues (of one database and schema) the payload is the union of theirs; see `job.queue_name`. Workflows
 * bring their own handlers: `startWorker(workflow)`; mixed with queues, the handler is for the jobs of those.
 */
export function startWorker<Parsed>(queue: PgQueue<unknown, Parsed>, handler: JobHandler<Parsed>, options?: WorkerOptions): Worker
export function startWorker(workflows: AnyWorkflow | readonly AnyWorkflow[], options?: WorkerOptions): Worker
export function startWorker<const Queues extends readonly (PgQueue<unknown, unknown> | AnyWorkflow)[]>(
  queues: Queues, handler: JobHandler<PayloadOf<Queues[number]>>, options?: WorkerOptions,
): Worker
export function startWorker(
  given: PgQueue<unknown, unknown> | AnyWorkflow | readonly (PgQueue<unknown, unknown> | AnyWorkflow)[],
  handler_or_options?: JobHandler<unknown> | WorkerOptions, more_options?: WorkerOptions,
): Worker {
  const { queues, workflows } = byKind<PgQueue<unknown, unknown>>(given)
  const [handler, options] = typeof handler_or_options === 'function' ? [handler_or_options, more_options] : [undefined, handler_or_options]
  const all = [...queues, ...workflows]
  const [first] = all
  if (first === undefined || !queues.every((queue) => queue instanceof PgQueue)) refuse('queues', 'a PgQueue, a MultiStepPgQueue or several', given)
  if (queues.length > 0 && handler === undefined) refuse('handler', 'a function', handler_or_options)
  if (all.some((queue) => queue.db !== first.db || queue.schema_name !== first.schema_name)) {
    refuse('queues', 'queues of one database and one schema', given)
  }
  const settings = workerSettings(options ?? {})
  const report = createReport(settings, { worker: settings.worker })
  const leave = createLeaveJob(report)
  const by_name = new Map(queues.map((queue) => [queue.queue_name, queue]))
  const run = createRun<HeldJob>({ queues: by_name, handler, runStep: createRunStep(workflows, leave), leave })
  const source = definingFirst(sqlJobSource(first.db, first.schema_name), workflows, report)
  return runWorker(source, [...new Set(all.map((queue) => queue.queue_name))], run, settings)
}
