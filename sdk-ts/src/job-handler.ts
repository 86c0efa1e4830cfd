/** `createJobHandler`: the endpoint that dispatched jobs are sent to. Mirrors functions/77-dispatch.sql. */
import { PgqError, toPgqError } from './errors.ts'
import { expectText, refuse } from './expect.ts'
import { responseOf, resultOf, type HandlerResult } from './job-handler-answer.ts'
import {
  jobHandlerSettings, type EndpointHandler, type EndpointQueue, type JobHandlerOptions, type JobRequestHandler,
} from './job-handler-options.ts'
import { runAndRelease } from './job-handler-release.ts'
import { createJobReader, refusal } from './job-request.ts'
import type { JobSource } from './job-source.ts'
import { createRun } from './run-handler.ts'
import { DEFAULT_SCHEMA } from './sql-call.ts'
import { sqlJobSource } from './sql-job-source.ts'
import { RunningJob } from './worker-job.ts'

/** What handlers of a queue get as payload. */
type PayloadOfEndpoint<Queue> = Queue extends EndpointQueue<infer Parsed> ? Parsed : never

/**
 * Makes a function that answers the requests of dispatchers, for every runtime with Web-standard requests: Node, Deno,
 * Bun, Supabase, Cloudflare, Vercel, Next.js. It checks that a request comes from a dispatcher and holds a job of these
 * queues, parses the payload, runs `handler`, and answers what became of the job.
 *
 * ```ts
 * Deno.serve(createJobHandler(queue, async ({ to }, job) => { await send(to) }, { signing_secret }))
 * ```
 * What the handler returns or throws means the same as in `startWorker`.
 */
export function createJobHandler<Parsed>(
  queue: EndpointQueue<Parsed>, handler: EndpointHandler<Parsed>, options: JobHandlerOptions,
): JobRequestHandler
export function createJobHandler<const Queues extends readonly EndpointQueue[]>(
  queues: Queues, handler: EndpointHandler<PayloadOfEndpoint<Queues[number]>>, options: JobHandlerOptions,
): JobRequestHandler
export function createJobHandler(
  queue_or_queues: EndpointQueue | readonly EndpointQueue[], handler: EndpointHandler<unknown>, options: JobHandlerOptions,
): JobRequestHandler {
  const queues = Array.isArray(queue_or_queues) ? (queue_or_queues as readonly EndpointQueue[]) : [queue_or_queues as EndpointQueue]
  if (queues.length === 0) refuse('queues', 'a PgQueue or several', queue_or_queues)
  for (const queue of queues) expectText('queue_name', queue?.queue_name)
  const settings = jobHandlerSettings(options ?? {})
  if (settings.manual_release && queues.some((queue) => queue.db === undefined)) refuse('queues', 'queues with a db, for manual release', 'one without')
  const by_name = new Map(queues.map((queue) => [queue.queue_name, queue]))
  const readJob = createJobReader(settings)
  const run = createRun(by_name, handler)

  function report(error: unknown): void {
    const pgq_error = toPgqError(error)
    settings.logger?.error?.(pgq_error.message, { code: pgq_error.code, error: pgq_error })
    settings.on_error?.(pgq_error)
  }

  return async function handleJobRequest(request) {
    const received = await readJob(request)
    if (received instanceof Response) {
      settings.logger?.warn?.(`refused a request with status ${received.status}`)
      return received
    }
    const queue = by_name.get(received.queue_name)
    if (!queue) return refusal(404, `no job of queue "${received.queue_name}" is handled here`)
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

function sourceOf({ db, schema_name = DEFAULT_SCHEMA }: EndpointQueue): Pick<JobSource, 'keepOneAlive' | 'releaseOne'> {
  if (db) return sqlJobSource(db, schema_name)
  const fail = async (): Promise<never> => {
    throw new PgqError('wrong_state', 'this queue has no database: give createJobHandler a PgQueue')
  }
  return { keepOneAlive: fail, releaseOne: fail }
}
