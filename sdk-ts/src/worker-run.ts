/** Runs the handlers of a worker: the line of picked jobs, the places, and what handlers end with. Mirrors no SQL file. */
import { COMPLETE, outcomeOfError, outcomeOfValue, type JobOutcome } from './outcome.ts'
import type { HeldJob } from './worker-job.ts'
import { createLine } from './worker-line.ts'

/** A job in line that is not begun by then is given back, so that another worker may have it. */
const LONGEST_WAIT_IN_LINE_MILLISECONDS = 250
/** Handlers are begun for so long before sockets and timers have their turn. */
const LONGEST_TURN_MILLISECONDS = 10

/** Calls `work` after the events that are due now, as soon as the runtime can. */
export const soon: (work: () => void) => void =
  typeof setImmediate === 'function' ? (work) => void setImmediate(work) : (work) => void setTimeout(work, 0)

export interface RunnerOptions {
  readonly concurrency: number
  /** Runs the handler of a job with its parsed payload. */
  readonly run: (job: HeldJob) => unknown
  on_begin(job: HeldJob): void
  /** The handler has ended with this outcome, or with none when it has released the job itself. */
  on_end(job: HeldJob, outcome: JobOutcome | undefined): void
  /** Jobs that have waited too long in the line. */
  on_late(jobs: readonly HeldJob[]): void
}

export interface Runner {
  /** Handlers that run now. */
  readonly running: number
  /** Jobs in line. */
  readonly waiting: number
  push(job: HeldJob): void
  /** Begins as many jobs of the line as there are places. */
  begin(): void
  /** Takes a job out of the line, if it is there. */
  remove(job: HeldJob): void
  /** Empties the line for good. */
  close(): HeldJob[]
  /** Waits for no handler any more. */
  abandon(): void
}

export function createRunner({ concurrency, run, on_begin, on_end, on_late }: RunnerOptions): Runner {
  const line = createLine()
  let running = 0
  let is_abandoned = false
  let is_beginning = false
  /** 0: no turn is under way. */
  let turn_ends_at = 0
  let line_timer: ReturnType<typeof setTimeout> | undefined

  function begin(): void {
    // A handler that ends at once comes back here.
    if (is_beginning) return
    is_beginning = true
    while (running < concurrency && line.length > 0) {
      const now = performance.now()
      if (turn_ends_at === 0) startTurn(now)
      else if (now >= turn_ends_at) break
      runOne(line.shift()!, now)
    }
    is_beginning = false
    if (line.length > 0 && line_timer === undefined) line_timer = setTimeout(checkLine, LONGEST_WAIT_IN_LINE_MILLISECONDS)
  }

  /** A turn ends when the runtime has looked at its sockets and timers. */
  function startTurn(now: number): void {
    turn_ends_at = now + LONGEST_TURN_MILLISECONDS
    soon(() => {
      turn_ends_at = 0
      begin()
    })
  }

  function runOne(job: HeldJob, now: number): void {
    running++
    job.started_at = now
    on_begin(job)
    try {
      const returned = run(job)
      if (isThenable(returned)) returned.then((value) => endWithValue(job, value), (error) => end(job, outcomeOfError(error)))
      else endWithValue(job, returned)
    } catch (error) {
      end(job, outcomeOfError(error))
    }
  }

  function endWithValue(job: HeldJob, value: unknown): void {
    // Released by the handler itself: only a failure afterwards may mean that this was rolled back.
    end(job, job.is_released ? undefined : value === undefined ? COMPLETE : outcomeOf(value))
  }

  function outcomeOf(value: unknown): JobOutcome {
    try {
      return outcomeOfValue(value)
    } catch (error) {
      return outcomeOfError(error) // The value has no JSON form.
    }
  }

  function end(job: HeldJob, outcome: JobOutcome | undefined): void {
    if (is_abandoned) return
    running--
    on_end(job, outcome)
    begin()
  }

  /** The line moves slower than measured. */
  function checkLine(): void {
    line_timer = undefined
    const now = performance.now()
    const late: HeldJob[] = []
    for (const job of line.takeAll()) {
      if (now - job.picked_at < LONGEST_WAIT_IN_LINE_MILLISECONDS) line.push(job)
      else late.push(job)
    }
    if (late.length > 0) on_late(late)
    begin()
  }

  return {
    get running() {
      return is_abandoned ? 0 : running
    },
    get waiting() {
      return line.length
    },
    push: line.push,
    begin,
    remove: line.remove,
    close() {
      clearTimeout(line_timer)
      return line.takeAll()
    },
    abandon() {
      is_abandoned = true
    },
  }
}

function isThenable(x: unknown): x is PromiseLike<unknown> {
  return typeof x === 'object' && x !== null && 'then' in x && typeof x.then === 'function'
}
