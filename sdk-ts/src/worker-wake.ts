/** When an idle worker or dispatcher looks again: notifications, the poll, the next scheduled job. Mirrors functions/45-worker.sql. */
import { backoff, sleep } from './backoff.ts'
import type { JobSource } from './job-source.ts'
import type { ListenCallbacks, Unlisten } from './queryable.ts'
import type { WorkerSettings } from './worker-options.ts'

/** What a waker knows of the queues. */
export interface WakeSource {
  /** Asks for notifications for the time given; gives the milliseconds until the next thing that is due within it, or null. */
  announceIdle(worker: string, idle_milliseconds: number): Promise<number | null>
  announceBusy(worker: string): Promise<void>
  /** Calls `on_notify` when there is a new job. Undefined where it can only poll. */
  readonly listen: ((on_notify: () => void, callbacks: ListenCallbacks) => Promise<Unlisten>) | undefined
}

/** The queues of a worker. */
export function wakeSourceOf(source: JobSource, queue_names: readonly string[]): WakeSource {
  const { listen } = source
  return {
    announceIdle: (worker, idle_milliseconds) => source.announceIdle(queue_names, worker, idle_milliseconds),
    announceBusy: (worker) => source.announceBusy(worker),
    listen: listen && ((on_notify, callbacks) => listen((queue_name) => queue_names.includes(queue_name) && on_notify(), callbacks)),
  }
}

export interface WakerOptions {
  readonly source: WakeSource
  readonly settings: Pick<WorkerSettings, 'worker' | 'poll_interval_milliseconds'>
  /** There may be jobs. */
  on_wake(): void
  on_error(error: unknown): void
}

/**
 * A worker that found less than it asked for is *dry*: it announces itself, looks once more, and then waits. What was
 * added before the announcement is met by that look; what is added later is notified.
 */
export interface Waker {
  /** Has the last pick come back short? Then only a wake-up is a reason for another one. */
  readonly is_dry: boolean
  /** Must it announce itself (again) before it waits? */
  needsAnnouncement(): boolean
  announce(): Promise<void>
  /** Counts notifications: to see whether one has come since. */
  readonly notifications: number
  /** What a pick gave that was sent when `notifications` stood at `notifications_before`. */
  picked(found: number, wanted: number, notifications_before: number): void
  /** A call failed, or a job was given back for later: what the announcement said holds no more. */
  forget(): void
  start(): void
  stop(): Promise<void>
}

/**
 * After the first announcement it looks once more this much later: a job whose add asked for idle workers before the
 * announcement may have been committed after the first look. (Adds in longer transactions wait for the poll.)
 */
const SECOND_LOOK_MILLISECONDS = 30
/** The announcement outlives the poll by this much, so that there is no gap when a timer is late. */
const ANNOUNCE_LONGER_MILLISECONDS = 250

export function createWaker({ source, settings, on_wake, on_error }: WakerOptions): Waker {
  const { worker, poll_interval_milliseconds } = settings
  let is_dry = false
  let notifications = 0
  let is_called = false
  let full_picks = 0
  let announced_until = 0
  /** When the poll or the next scheduled job is due. */
  let wake_at = 0
  /** Until when the database has us as idle. */
  let known_until = 0
  let is_second_look_due = false
  let announcing_busy: Promise<void> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let listening: Promise<Unlisten | undefined> | undefined
  const stopping = new AbortController()

  function onNotify(): void {
    notifications++
    is_called = true
    is_dry = false
    on_wake()
  }

  function arm(at: number): void {
    clearTimeout(timer)
    if (!stopping.signal.aborted) timer = setTimeout(onTimer, Math.max(1, Math.ceil(at - performance.now())))
  }

  function onTimer(): void {
    if (is_second_look_due) {
      is_second_look_due = false
      is_dry = false
      arm(wake_at)
    } else {
      announced_until = 0
    }
    on_wake()
  }

  async function listen(): Promise<Unlisten | undefined> {
    for (let failures = 0; source.listen && !stopping.signal.aborted; failures++) {
      try {
        const unlisten = await source.listen(onNotify, { on_reconnect: onNotify, on_error })
        // Nobody heard what was notified until now.
        onNotify()
        return unlisten
      } catch (error) {
        on_error(error)
        await sleep(backoff(failures, 200, 5000), stopping.signal)
      }
    }
    return undefined
  }

  function announceBusy(): Promise<void> {
    announced_until = 0
    known_until = 0
    clearTimeout(timer)
    announcing_busy = source.announceBusy(worker).catch(on_error)
    return announcing_busy
  }

  return {
    get is_dry() {
      return is_dry
    },
    get notifications() {
      return notifications
    },
    needsAnnouncement() {
      return performance.now() >= announced_until
    },
    async announce() {
      // It must not overtake this one.
      await announcing_busy
      const now = performance.now()
      const row_lasts = poll_interval_milliseconds + ANNOUNCE_LONGER_MILLISECONDS
      const due_in = await source.announceIdle(worker, row_lasts)
      is_second_look_due = now > known_until
      known_until = now + row_lasts
      // Not all workers at the same moment.
      announced_until = now + poll_interval_milliseconds * (0.9 + Math.random() * 0.1)
      wake_at = Math.min(announced_until, due_in === null ? Infinity : performance.now() + due_in)
      arm(is_second_look_due ? Math.min(wake_at, performance.now() + SECOND_LOOK_MILLISECONDS) : wake_at)
    },
    picked(found, wanted, notifications_before) {
      if (found === wanted) {
        is_dry = false
        // One full pick may be chance; with two there is a line, and adds need not notify.
        if (++full_picks === 2 && announced_until > performance.now()) void announceBusy()
        return
      }
      full_picks = 0
      if (notifications !== notifications_before) return
      is_dry = true
      // Called for nothing: the job is for later, or someone else was quicker.
      if (is_called && found === 0) announced_until = 0
      is_called = false
    },
    forget() {
      announced_until = 0
    },
    start() {
      listening = listen()
    },
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      // Otherwise adds would go on to notify for a moment.
      if (announced_until > performance.now()) await announceBusy()
      await (await listening)?.()
    },
  }
}
