/** `createJobHandler`: the endpoint that dispatched jobs are sent to. Mirrors functions/77-dispatch.sql. */
import { PgqError } from './errors.ts'
import { expectText, refuse } from './expect.ts'
import { responseOf, resultOf, type HandlerResult } from './job-handler-answer.ts'
import {
  jobHandlerSettings, type EndpointHandler, type EndpointQueue, type JobHandlerOptions, type JobRequestHandler,
} from './job-handler-options.ts'
import { runAndRelease } from './job-handler-release.ts'
import { createJobReader, refusal } from './job-request.ts'
import type { JobSource } from './job-source.ts'
import { createReport } from './report.ts'
import { createRun } from './run-handler.ts'
import { createLeaveJob, createRunStep } from './run-step.ts'
import { DEFAULT_SCHEMA } from './sql-call.ts'
import { sqlJobSource } from './sql-job-source.ts'
import { RunningJob } from './worker-job.ts'
import { byKind, createDefineAll, type AnyWorkflow } from './workflows.ts'

/** What handlers of a queue get as payload. */
type PayloadOfEndpoint<Queue> = Queue extends AnyWorkflow ? never : Queue extends EndpointQueue<infer Parsed> ? Parsed : never

/**
 * Makes a function that answers the requests of dispatchers, for every runtime with Web-standard requests: Node, Deno,
 * Bun, Supabase, Cloudflare, Vercel, Next.js. It checks that a request comes from a dispatcher and holds a job of these
 * queues, parses the payload, runs `handler`, and answers what became of the job.
 *
 * ```ts
 * Deno.serve(createJobHandler(queue, async ({ to }, job) => { await send(to) }, { signing_secret }))
 * ```
 * What the handler returns or throws means the same as in `startWorker`. Workflows bring their own handlers:
 * `createJobHandler(workflow, { signing_secret })`; mixed with queues, the handler is for the jobs of those.
 */
export function createJobHandler<Parsed>(
  queue: EndpointQueue<Parsed>, handler: EndpointHandler<Parsed>, options: JobHandlerOptions,
): JobRequestHandler
export function createJobHandler(workflows: AnyWorkflow | readonly AnyWorkflow[], options: JobHandlerOptions): JobRequestHandler
export function createJobHandler<const Queues extends readonly (EndpointQueue | AnyWorkflow)[]>(
  queues: Queues, handler: EndpointHandler<PayloadOfEndpoint<Queues[number]>>, options: JobHandlerOptions,
): JobRequestHandler
export function createJobHandler(
  given: EndpointQueue | AnyWorkflow | readonly (EndpointQueue | AnyWorkflow)[],
  handler_or_options: EndpointHandler<unknown> | JobHandlerOptions, more_options?: JobHandlerOptions,
): JobRequestHandler {
  const { queues, workflows } = byKind<EndpointQueue>(given)
  const [handler, options] = typeof handler_or_options === 'function' ? [handler_or_options, more_options] : [undefined, handler_or_options]
  if (queues.length + workflows.length === 0) refuse('queues', 'a PgQueue, a MultiStepPgQueue or several', given)
  if (queues.length > 0 && handler === undefined) refuse('handler', 'a function', handler_or_options)
  for (const queue of queues) expectText('queue_name', queue?.queue_name)
  const settings = jobHandlerSettings(options ?? {})
  if (settings.manual_release && queues.some((queue) => queue.db === undefined)) refuse('queues', 'queues with a db, for manual release', 'one without')
  const by_name = new Map<string, EndpointQueue>(workflows.map((workflow) => [workflow.queue_name, endpointOf(workflow)]))
  for (const queue of queues) by_name.set(queue.queue_name, queue)
  const readJob = createJobReader(settings)
  const report = createReport(settings)
  const leave = createLeaveJob(report)
  const plain = new Map(queues.map((queue) => [queue.queue_name, queue]))
  const run = createRun({ queues: plain, handler, runStep: createRunStep(workflows, leave), leave })
  const defineAll = createDefineAll(workflows, report)

  return async function handleJobRequest(request) {
    const received = await readJob(request)
    if (received instanceof Response) {
      settings.logger?.warn?.(`refused a request with status ${received.status}`)
      return received
    }
    const queue = by_name.get(received.queue_name)
    if (!queue) return refusal(404, `no job of queue "${received.queue_name}" is handled here`)
    await defineAll()?.catch(report)
    const { db, schema_name = DEFAULT_SCHEMA } = queue
    const { manual_release = received.manual_release && db !== undefined } = settings
    if (!manual_release || !db) {
      const job = new RunningJob(received, sourceOf(queue), performance.now())
      return responseOf(await runWhileWaited(() => run(job), job, request.signal), received.manual_release)
    }
    const work = runAndRelease({ db, schema_name, leased: received, run, on_error: report })
    if (!settings.wait_until) await work
    else settings.wait_until(work)
    return new Response(null, { status: 202 })
  }
}

/** The dispatcher waits for the result, until its time is over. */
async function runWhileWaited(run: () => unknown, job: RunningJob, waits: AbortSignal): Promise<HandlerResult> {
  const giveUp = (): void => job.abort(new PgqError('lease_lost', `nobody waits for job ${job.job_id} any more`))
  const timer = setTimeout(giveUp, job.timeout_milliseconds)
  waits.addEventListener('abort', giveUp, { once: true })
  const result = await resultOf(run, () => job.is_released)
  clearTimeout(timer)
  waits.removeEventListener('abort', giveUp)
  return result
}

/** What of a workflow's queue is needed: its payloads are parsed for each version. */
function endpointOf({ queue_name, db, schema_name }: AnyWorkflow): EndpointQueue {
  return { queue_name, db, schema_name }
}

function sourceOf({ db, schema_name = DEFAULT_SCHEMA }: EndpointQueue): Pick<JobSource, 'keepOneAlive' | 'releaseOne'> {
  if (db) return sqlJobSource(db, schema_name)
  const fail = async (): Promise<never> => {
    throw new PgqError('wrong_state', 'this queue has no database: give createJobHandler a PgQueue')
  }
  return { keepOneAlive: fail, releaseOne: fail }
}
