/** Runs a job of an endpoint with manual release: its lease is kept alive, its result goes into the database. Mirrors functions/65-release.sql and 70-lease.sql. */
import { sqlJobSink } from './add.ts'
import { backoff, sleep } from './backoff.ts'
import { PgqError, toPgqError } from './errors.ts'
import { CompleteAndAdd, resultOf } from './job-handler-answer.ts'
import { outcomeOfError, type JobOutcome } from './outcome.ts'
import type { Queryable } from './queryable.ts'
import { sqlJobSource } from './sql-job-source.ts'
import { RunningJob, type LeasedJob } from './worker-job.ts'
import { createLeaseKeeper } from './worker-leases.ts'
import { recordResults } from './worker-record.ts'

export interface ManualRun {
  readonly db: Queryable
  readonly schema_name: string
  readonly leased: LeasedJob
  readonly run: (job: RunningJob) => unknown
  on_error(error: PgqError): void
}

/** How often a result is brought to a database that does not answer; then the lease runs out, and the job is run again. */
const MAX_TRIES = 8
const FIRST_PAUSE_MILLISECONDS = 100
const LONGEST_PAUSE_MILLISECONDS = 5000

/** Never rejects. */
export async function runAndRelease(order: ManualRun): Promise<void> {
  const { db, schema_name, leased, run, on_error } = order
  const source = sqlJobSource(db, schema_name)
  const { timeout_milliseconds } = leased
  const job = new RunningJob(leased, source, performance.now())
  try {
    // From now on the lease is at least so long, and nothing is run in vain: a request may come twice.
    await source.keepOneAlive(leased, { timeout_milliseconds })
  } catch (error) {
    on_error(toPgqError(error))
    return
  }
  const keeper = createLeaseKeeper({
    source,
    held: new Set([job]),
    max_run_milliseconds: undefined,
    on_error,
    on_lost(_job, reason) {
      job.is_over = true
      job.abort(reason)
    },
    on_too_long() {},
  })
  keeper.watch(job)
  const result = await resultOf(() => run(job), () => job.is_released)
  if (result !== undefined) await record(order, job, result)
  keeper.stop()
}

/** Tries again until the result is recorded or the lease is lost, or for so long that somebody else has the job by then. */
async function record(order: ManualRun, job: RunningJob, result: JobOutcome | CompleteAndAdd): Promise<void> {
  for (let tries = 1; !job.is_over && tries <= MAX_TRIES; tries++) {
    try {
      job.is_recording = true
      await recordOnce(order, job, result)
      return
    } catch (error) {
      const pgq_error = toPgqError(error)
      job.is_recording = false
      order.on_error(pgq_error)
      if (pgq_error.code === 'lease_lost') return
      if (result instanceof CompleteAndAdd && pgq_error.code !== 'connection_lost') {
        result = outcomeOfError(`its jobs could not be added: ${pgq_error.message}`)
      } else {
        await sleep(backoff(tries, FIRST_PAUSE_MILLISECONDS, LONGEST_PAUSE_MILLISECONDS))
      }
    }
  }
}

async function recordOnce({ db, schema_name, on_error }: ManualRun, job: RunningJob, result: JobOutcome | CompleteAndAdd): Promise<void> {
  if (!(result instanceof CompleteAndAdd)) {
    job.outcome = result
    const callbacks = { on_recorded() {}, on_lost() {}, on_refused: (_job: RunningJob, error: PgqError) => on_error(error) }
    await recordResults(sqlJobSource(db, schema_name), [job], undefined, callbacks)
    return
  }
  if (!db.transaction) throw new PgqError('wrong_state', 'the database cannot run transactions')
  await db.transaction((transaction) => addAndRelease(transaction, schema_name, job, result))
}

export async function addAndRelease(transaction: Queryable, schema_name: string, job: RunningJob, { output, jobs }: CompleteAndAdd): Promise<void> {
  const sink = sqlJobSink(transaction, schema_name)
  for (const { queue_name, payload, ...options } of jobs) await sink.add(queue_name, payload, options)
  await job.release('complete', { transaction, ...(output !== undefined && { output: JSON.parse(output) }) })
}
