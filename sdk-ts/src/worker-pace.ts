/** How many jobs a worker may hold beyond those that run: few when they are slow, many when they are fast. Mirrors no SQL file. */

/** Picked jobs that wait in the worker's line should start within this time, by the rate measured. */
const SHORTEST_WINDOW_MILLISECONDS = 5
const LONGEST_WINDOW_MILLISECONDS = 50
/** The line should last for so many calls, so that the next one is back before it is empty. */
const CALLS_AHEAD = 4
/** More does not make it faster. */
const MAX_PREFETCH = 4000
/** The rate is that of about the last so many milliseconds: handlers that end at the same moment are no fast handlers. */
const MEMORY_MILLISECONDS = 20
/** Share of the newest call in the average time of a call. */
const WEIGHT = 0.3

/** A measure of jobs a millisecond. */
export interface Pace {
  /** A job has ended. */
  ended(): void
  /** A call to the database took so long. */
  called(milliseconds: number): void
  /** Jobs in line were not begun in time: measure anew. */
  reset(): void
  /** How many jobs may be held beyond those that run. */
  prefetch(now: number): number
}

export function createPace(now: number): Pace {
  let rate = 0
  let call_milliseconds = 1
  let ended = 0
  let since = now

  return {
    ended() {
      ended++
    },
    called(milliseconds) {
      call_milliseconds += (milliseconds - call_milliseconds) * WEIGHT
    },
    reset() {
      rate = 0
      ended = 0
    },
    prefetch(now) {
      const elapsed = now - since
      // Shorter spans measure the clock.
      if (elapsed >= 0.5) {
        rate += (ended / elapsed - rate) * (1 - Math.exp(-elapsed / MEMORY_MILLISECONDS))
        ended = 0
        since = now
      }
      const window = Math.min(LONGEST_WINDOW_MILLISECONDS, Math.max(SHORTEST_WINDOW_MILLISECONDS, CALLS_AHEAD * call_milliseconds))
      return Math.min(MAX_PREFETCH, Math.floor(rate * window))
    },
  }
}
