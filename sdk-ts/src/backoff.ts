/** Waiting, and how long to wait between attempts. Mirrors no SQL file. */

/**
 * Milliseconds to wait before attempt `attempt` (from 0): doubles from `first` up to `cap`, half of it random, so that
 * many workers do not come back at once ("equal jitter").
 */
export function backoff(attempt: number, first: number, cap: number): number {
  const ceiling = Math.min(cap, first * 2 ** Math.min(attempt, 30))
  return ceiling / 2 + (Math.random() * ceiling) / 2
}

/** Resolves after `milliseconds`, or as soon as `signal` aborts (it never rejects). */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const timer = setTimeout(done, milliseconds)
    signal?.addEventListener('abort', done, { once: true })
    function done(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
  })
}
