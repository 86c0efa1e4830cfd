/** The loop of a worker: picks, runs handlers, brings results back. Mirrors no SQL file; speaks to a `JobSource` only. */
import { backoff, sleep } from './backoff.ts'
import { planSchedules } from './drive.ts'
import { PgqError, toPgqError } from './errors.ts'
import type { JobSource, PickedJob, PickRequest } from './job-source.ts'
import { outcomeOfError, PAUSED, type JobOutcome } from './outcome.ts'
import { HeldJob } from './worker-job.ts'
import { createLeaseKeeper } from './worker-leases.ts'
import { planMaintenance } from './worker-maintenance.ts'
import type { StopOptions, Worker, WorkerSettings } from './worker-options.ts'
import { createPace } from './worker-pace.ts'
import { recordResults } from './worker-record.ts'
import { createRunner, soon } from './worker-run.ts'
import { createWaker, wakeSourceOf } from './worker-wake.ts'

/** Calls that may be under way at once; the second only with much to do, so that few results wait for company. */
const MAX_CALLS = 2
/** Jobs; of large ones as many as one call picks. */
const MUCH_TO_DO = 100
/** One call picks no more. */
const MAX_BATCH = 1000
/** Nor more than about so many bytes: a driver joins what comes chunk by chunk, which a large answer makes slow. */
const MAX_BATCH_BYTES = 1_000_000
/** Pauses after a failed call. */
const FIRST_PAUSE_MILLISECONDS = 100
const LONGEST_PAUSE_MILLISECONDS = 5000
/** How long a hard stop tries to record what it has. */
const LAST_TRIES_MILLISECONDS = 5000

export function runWorker(source: JobSource, queue_names: readonly string[], run: (job: HeldJob) => unknown, settings: WorkerSettings): Worker {
  const { concurrency, worker, logger } = settings
  const held = new Set<HeldJob>()
  const pace = createPace(performance.now())
  const totals = { picked: 0, complete: 0, next: 0, failed: 0, paused: 0, cancelled: 0, lost: 0 }
  let results: HeldJob[] = []
  let calls = 0
  let asked_for = 0
  let failures = 0
  let last_error: unknown
  let is_backing_off = false
  let is_stopping = false
  let is_woken = false
  let is_over = false
  const over = new AbortController()
  let tell_stopped: () => void = () => {}
  const stopped = new Promise<void>((resolve) => (tell_stopped = resolve))

  const waker = createWaker({ source: wakeSourceOf(source, queue_names), settings, on_wake: pump, on_error: report })
  const leases = createLeaseKeeper({
    source,
    held,
    max_run_milliseconds: settings.max_run_milliseconds,
    on_error: report,
    on_lost(job, reason) {
      logger?.warn?.(reason.message, { job_id: job.job_id, queue_name: job.queue_name, worker })
      lose(job)
      job.abort(reason)
    },
    on_too_long(job, reason) {
      settle(job, outcomeOfError(reason.message))
      job.abort(reason)
    },
  })

  const runner = createRunner({
    concurrency,
    run,
    on_begin(job) {
      if (settings.max_run_milliseconds !== undefined) leases.watch(job)
    },
    on_end(job, outcome) {
      pace.ended()
      if (outcome) settle(job, outcome)
      else putAway(job)
      pumpSoon()
    },
    on_late(jobs) {
      // The line moves slower than measured: others may have what waits in it.
      pace.reset()
      jobs.forEach(giveBack)
    },
  })

  // ---- Picking and recording

  /** Sends what there is to send. */
  function pump(): void {
    while (calls < MAX_CALLS && !is_backing_off && !is_over) {
      const free = concurrency - runner.running - runner.waiting - asked_for
      const wanted = howMany(free)
      if (calls > 0 && results.length < muchToDo() && wanted < muchToDo()) break
      if (results.length > 0) {
        const batch = results.length > MAX_BATCH ? results.splice(0, MAX_BATCH) : results
        if (batch === results) results = []
        void cycle(batch, wanted, false)
      } else if (wanted > 0 && !waker.is_dry) {
        void cycle([], wanted, false)
      } else if (wanted > 0 && free > 0 && waker.needsAnnouncement()) {
        void cycle([], wanted, true)
      } else {
        break
      }
    }
    if (is_stopping) endWhenDone()
  }

  function howMany(free: number): number {
    if (is_stopping) return 0
    const prefetch = pace.prefetch(performance.now())
    const wanted = Math.min(MAX_BATCH, free + prefetch)
    // With all places taken, a call for a few more is not worth it.
    if (wanted <= 0 || (free <= 0 && wanted < prefetch / 4)) return 0
    return Math.min(wanted, mostAtOnce())
  }

  function mostAtOnce(): number {
    return Math.min(MAX_BATCH, Math.max(1, Math.floor(MAX_BATCH_BYTES / source.bytes_per_job)))
  }

  function muchToDo(): number {
    return Math.min(MUCH_TO_DO, mostAtOnce())
  }

  /** One call: records `batch` and picks `wanted` jobs. */
  async function cycle(batch: HeldJob[], wanted: number, is_first_announced: boolean): Promise<void> {
    calls++
    asked_for += wanted
    let picked: PickedJob[] = []
    let sent_at = 0
    const notifications = waker.notifications
    try {
      if (is_first_announced) await waker.announce()
      sent_at = performance.now()
      picked = await send(batch, wanted)
      failures = 0
    } catch (error) {
      results = batch.filter((job) => !job.is_over).concat(results)
      for (const job of batch) job.is_recording = false
      waker.forget()
      report(error)
      backOff()
    }
    calls--
    asked_for -= wanted
    if (sent_at > 0) pace.called(performance.now() - sent_at)
    if (wanted > 0 && !is_backing_off) waker.picked(picked.length, wanted, notifications)
    receive(picked, sent_at)
    // The next call goes out before the handlers have their turn, so that the database works meanwhile.
    pump()
    runner.begin()
  }

  function send(batch: HeldJob[], wanted: number): Promise<PickedJob[]> {
    const request: PickRequest | undefined = wanted === 0 ? undefined : {
      queue_names, max_jobs: wanted, worker, timeout_milliseconds: settings.timeout_milliseconds,
      ignore_max_concurrency: settings.ignore_max_concurrency,
    }
    if (batch.length === 0) return source.pick(request!)
    for (const job of batch) job.is_recording = true
    return recordResults(source, batch, request, { on_recorded, on_lost: lose, on_refused })
  }

  function on_recorded(job: HeldJob, outcome: JobOutcome): void {
    putAway(job)
    totals[outcome.result]++
    // When it comes again is not known here.
    if (outcome.result === 'failed' || outcome.result === 'paused' || outcome.result === 'next') waker.forget()
  }

  function on_refused(job: HeldJob, error: PgqError): void {
    logger?.error?.('a result could not be stored', { job_id: job.job_id, queue_name: job.queue_name, error })
  }

  function lose(job: HeldJob): void {
    if (job.is_over) return
    putAway(job)
    totals.lost++
    runner.remove(job)
    const index = results.indexOf(job)
    if (index !== -1) results.splice(index, 1)
  }

  /** Nothing more is to be done about it. */
  function putAway(job: HeldJob): void {
    job.is_over = true
    held.delete(job)
  }

  function receive(picked: readonly PickedJob[], sent_at: number): void {
    totals.picked += picked.length
    for (const one of picked) {
      const job = new HeldJob(one, source, sent_at)
      held.add(job)
      leases.watch(job)
      if (is_stopping) giveBack(job)
      else runner.push(job)
    }
  }

  function backOff(): void {
    is_backing_off = true
    setTimeout(() => {
      is_backing_off = false
      pump()
    }, backoff(failures++, FIRST_PAUSE_MILLISECONDS, LONGEST_PAUSE_MILLISECONDS))
  }

  /** A job has its outcome, unless it had one before. */
  function settle(job: HeldJob, outcome: JobOutcome): void {
    if (job.is_over || job.outcome !== undefined) return
    job.outcome = outcome
    results.push(job)
    pumpSoon()
  }

  /** Once for all that ends in this turn. */
  function pumpSoon(): void {
    if (is_woken || calls >= MAX_CALLS || (calls > 0 && results.length < muchToDo())) return
    is_woken = true
    soon(() => {
      is_woken = false
      pump()
    })
  }

  function giveBack(job: HeldJob): void {
    settle(job, PAUSED)
  }

  // ---- Stopping

  async function stop({ hard = false, timeout_milliseconds }: StopOptions = {}): Promise<void> {
    if (!is_stopping) {
      is_stopping = true
      settings.signal?.removeEventListener('abort', onSignal)
      runner.close().forEach(giveBack)
    }
    if (hard) stopHard()
    endWhenDone()
    if (timeout_milliseconds !== undefined && !hard) {
      await sleep(timeout_milliseconds, over.signal)
      if (!is_over) stopHard()
    }
    await stopped
  }

  function stopHard(): void {
    for (const job of [...held]) {
      if (job.outcome !== undefined || job.is_released) continue
      giveBack(job)
      job.abort(new PgqError('worker_stopped', `worker "${worker}" was stopped`))
    }
    // The handlers may take as long as they like: nothing that they give is recorded.
    runner.abandon()
    void sleep(LAST_TRIES_MILLISECONDS, over.signal).then(() => {
      if (is_over) return
      report(new PgqError('worker_stopped', `worker "${worker}" stopped without recording ${results.length} results: those jobs will be run again`))
      endNow()
    })
  }

  function endWhenDone(): void {
    if (!is_over && runner.running === 0 && results.length === 0 && calls === 0) endNow()
  }

  function endNow(): void {
    is_over = true
    over.abort()
    leases.stop()
    stopMaintenance()
    stopSchedules?.()
    waker.stop().catch(report).then(tell_stopped)
  }

  // ---- The rest

  function report(error: unknown): void {
    const pgq_error = toPgqError(error)
    last_error = pgq_error
    logger?.error?.(pgq_error.message, { code: pgq_error.code, worker, error: pgq_error })
    settings.on_error?.(pgq_error)
  }

  function onSignal(): void {
    void stop()
  }

  settings.signal?.addEventListener('abort', onSignal, { once: true })
  const stopMaintenance = planMaintenance(() => source.maintain().catch(report))
  const stopSchedules = source.driveSchedules && settings.drive_schedules !== false ? planSchedules(source.driveSchedules, report) : undefined
  waker.start()
  if (settings.signal?.aborted) onSignal()
  else pump()

  return {
    worker,
    stop,
    stopped,
    stats: () => {
      const { picked, complete, next, failed, paused, lost } = totals
      return { running: runner.running, waiting: runner.waiting, unrecorded: results.length, picked, complete: complete + next, failed, paused, lost, last_error }
    },
    [Symbol.asyncDispose]: () => stop(),
  }
}
