/** The loop of a dispatcher: picks requests, sends them, brings answers back. Mirrors no SQL file; speaks to a `DispatchSource`. */
import { backoff, sleep } from './backoff.ts'
import type { DispatchOutcome, DispatchRequest, DispatchSource, RequestAnswer, RequestPick } from './dispatch-source.ts'
import type { DispatcherSettings, DispatcherStopOptions, RunningDispatcher } from './dispatcher-options.ts'
import { sendRequest, type Sending } from './dispatcher-send.ts'
import { planSchedules } from './drive.ts'
import { PgqError, toPgqError } from './errors.ts'
import type { Transport } from './transport.ts'
import { planMaintenance } from './worker-maintenance.ts'
import { soon } from './worker-run.ts'
import { createWaker } from './worker-wake.ts'

/** Calls that may be under way at once; the second only with much to do, so that few answers wait for company. */
const MAX_CALLS = 2
const MUCH_TO_DO = 50
/** One call records no more answers, and picks no more requests. */
const MAX_BATCH = 200
/** After a failure it is halved, because it may have been too much; each success raises it again by this. */
const BATCH_STEP = 10
/** And no more characters of answers, unless it is a single one: strings have an end. */
const MAX_BATCH_CHARACTERS = 16_000_000
/** Pauses after a failed call. */
const FIRST_PAUSE_MILLISECONDS = 100
const LONGEST_PAUSE_MILLISECONDS = 5000
/** How long a stop waits for answers, unless told otherwise. */
const STOP_MILLISECONDS = 30_000
/** Timers run no longer. */
const LONGEST_TIMER_MILLISECONDS = 2 ** 31 - 1
/** How long a hard stop tries to record what it has. */
const LAST_TRIES_MILLISECONDS = 5000

export function runDispatcher(source: DispatchSource, transport: Transport, settings: DispatcherSettings): RunningDispatcher {
  const { concurrency, dispatcher, logger } = settings
  const in_flight = new Set<Sending>()
  const totals = { complete: 0, accepted: 0, failed: 0, paused: 0, cancelled: 0, ignored: 0, invalid: 0 }
  let sent = 0
  let answers: RequestAnswer[] = []
  let calls = 0
  let asked_for = 0
  let max_batch = MAX_BATCH
  let failures = 0
  let last_error: unknown
  let is_backing_off = false
  let is_stopping = false
  let is_woken = false
  let is_over = false
  const over = new AbortController()
  let tell_stopped: () => void = () => {}
  const stopped = new Promise<void>((resolve) => (tell_stopped = resolve))

  const waker = createWaker({ source, settings: { ...settings, worker: dispatcher }, on_wake: pump, on_error: report })

  // ---- Picking and recording

  /** Sends what there is to send to the database. */
  function pump(): void {
    while (calls < MAX_CALLS && !is_backing_off && !is_over) {
      const wanted = howMany()
      if (calls > 0 && answers.length < MUCH_TO_DO) break
      if (answers.length > 0) {
        void cycle(answers.splice(0, batchLength(answers, max_batch)), wanted, false)
      } else if (wanted > 0 && !waker.is_dry) {
        void cycle([], wanted, false)
      } else if (wanted > 0 && waker.needsAnnouncement()) {
        void cycle([], wanted, true)
      } else {
        break
      }
    }
    if (is_stopping) endWhenDone()
  }

  /** At most half of the places that are free, so that others may have some: see `greedy`. */
  function howMany(): number {
    return is_stopping ? 0 : Math.min(max_batch, Math.ceil((concurrency - in_flight.size) / 2) - asked_for)
  }

  /** Queues that hold more places than are free get no more for now: an endpoint that hangs must not take them all. */
  function greedy(): string[] {
    const free = concurrency - in_flight.size
    if (in_flight.size <= free) return []
    const held = new Map<string, number>()
    for (const { queue_name } of in_flight) held.set(queue_name, (held.get(queue_name) ?? 0) + 1)
    return [...held].filter(([, places]) => places > free).map(([queue_name]) => queue_name)
  }

  /** One call: records `batch` and picks up to `wanted` requests. */
  async function cycle(batch: RequestAnswer[], wanted: number, is_first_announced: boolean): Promise<void> {
    calls++
    asked_for += wanted
    let requests: DispatchRequest[] = []
    let has_failed = false
    const notifications = waker.notifications
    try {
      if (is_first_announced) await waker.announce()
      requests = await send(batch, wanted)
      failures = 0
      max_batch = Math.min(MAX_BATCH, max_batch + BATCH_STEP)
    } catch (error) {
      has_failed = true
      max_batch = Math.ceil(max_batch / 2)
      if (batch.length > 0 && isRefused(error)) await recordOneByOne(batch)
      else answers = batch.concat(answers)
      waker.forget()
      report(error)
      backOff()
    }
    calls--
    asked_for -= wanted
    if (wanted > 0 && !has_failed) waker.picked(requests.length, wanted, notifications)
    requests.forEach(begin)
    pump()
  }

  async function send(batch: readonly RequestAnswer[], wanted: number): Promise<DispatchRequest[]> {
    const pick: RequestPick = { max_requests: wanted, dispatcher, except: greedy() }
    if (batch.length === 0) return source.pick(pick)
    if (wanted === 0) {
      count(await source.answer(batch))
      return []
    }
    const [outcomes, requests] = await source.answerAndPick(batch, pick)
    count(outcomes)
    return requests
  }

  /** One answer of a batch was refused, which SQL should never do: the others must not suffer. */
  async function recordOneByOne(batch: readonly RequestAnswer[]): Promise<void> {
    for (const answer of batch) {
      try {
        count(await source.answer([answer]))
      } catch (error) {
        const { job_id, lease_token } = answer
        answers.push(isRefused(error) ? { job_id, lease_token, error: 'an answer that cannot be stored' } : answer)
      }
    }
  }

  function count(outcomes: readonly DispatchOutcome[]): void {
    for (const { job_id, outcome, error } of outcomes) {
      totals[outcome]++
      // When it comes again is not known here.
      if (outcome === 'failed' || outcome === 'paused') waker.forget()
      if (outcome === 'failed') logger?.warn?.(`job ${job_id} failed: ${error}`, { job_id, dispatcher })
      else logger?.debug?.(`job ${job_id}: ${outcome}`, { job_id, dispatcher })
    }
  }

  function backOff(): void {
    is_backing_off = true
    setTimeout(() => {
      is_backing_off = false
      pump()
    }, backoff(failures++, FIRST_PAUSE_MILLISECONDS, LONGEST_PAUSE_MILLISECONDS))
  }

  // ---- Sending

  function begin(request: DispatchRequest): void {
    sent++
    const { job_id, lease_token } = request
    if (is_stopping) {
      answers.push({ job_id, lease_token, given_back: true })
      return
    }
    const sending = sendRequest(transport, request, (answer) => {
      in_flight.delete(sending)
      answers.push(answer)
      pumpSoon()
    })
    in_flight.add(sending)
  }

  /** Once for all answers that come in this turn. */
  function pumpSoon(): void {
    if (is_woken || calls >= MAX_CALLS || (calls > 0 && answers.length < MUCH_TO_DO)) return
    is_woken = true
    soon(() => {
      is_woken = false
      pump()
    })
  }

  // ---- Stopping

  async function stop({ hard = false, timeout_milliseconds = STOP_MILLISECONDS }: DispatcherStopOptions = {}): Promise<void> {
    if (!is_stopping) {
      is_stopping = true
      settings.signal?.removeEventListener('abort', onSignal)
      clearTimeout(exit_timer)
    }
    if (hard) stopHard()
    pump()
    if (!hard) {
      await sleep(Math.min(timeout_milliseconds, LONGEST_TIMER_MILLISECONDS), over.signal)
      if (!is_over) stopHard()
    }
    await stopped
  }

  function stopHard(): void {
    for (const sending of in_flight) sending.giveBack()
    void sleep(LAST_TRIES_MILLISECONDS, over.signal).then(() => {
      if (is_over) return
      report(new PgqError('worker_stopped', `dispatcher "${dispatcher}" stopped without recording ${answers.length} answers: those jobs will be sent again`))
      endNow()
    })
  }

  function endWhenDone(): void {
    if (!is_over && in_flight.size === 0 && answers.length === 0 && calls === 0) endNow()
  }

  function endNow(): void {
    is_over = true
    over.abort()
    stopMaintenance()
    stopSchedules?.()
    transport.close()
    waker.stop().catch(report).then(tell_stopped)
  }

  // ---- The rest

  function report(error: unknown): void {
    const pgq_error = toPgqError(error)
    last_error = pgq_error
    logger?.error?.(pgq_error.message, { code: pgq_error.code, dispatcher, error: pgq_error })
    settings.on_error?.(pgq_error)
  }

  function onSignal(): void {
    void stop()
  }

  settings.signal?.addEventListener('abort', onSignal, { once: true })
  const { exit_after_milliseconds } = settings
  const exit_timer = exit_after_milliseconds === undefined ? undefined : setTimeout(onSignal, exit_after_milliseconds)
  const stopMaintenance = planMaintenance(() => source.maintain().catch(report))
  const stopSchedules = settings.drive_schedules === false ? undefined : planSchedules(source.driveSchedules, report)
  waker.start()
  if (settings.signal?.aborted) onSignal()
  else pump()

  return {
    dispatcher,
    stop,
    stopped,
    stats: () => {
      const { complete, accepted, failed, paused, ignored } = totals
      return { in_flight: in_flight.size, unrecorded: answers.length, sent, complete, accepted, failed, paused, ignored, last_error }
    },
    [Symbol.asyncDispose]: () => stop(),
  }
}

/** How many of the first answers go into one call. */
function batchLength(answers: readonly RequestAnswer[], most: number): number {
  let characters = 0
  for (let length = 0; length < Math.min(most, answers.length); length++) {
    characters += answers[length]!.body?.length ?? 0
    if (characters > MAX_BATCH_CHARACTERS) return Math.max(1, length)
  }
  return Math.min(most, answers.length)
}

/** Not the connection, but what was sent. */
function isRefused(error: unknown): boolean {
  return error instanceof PgqError && (error.code === 'invalid_argument' || error.code === 'too_large')
}
