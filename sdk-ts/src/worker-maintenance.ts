/** Housekeeping now and then, by whoever happens to run. Mirrors functions/85-maintain.sql. */

/** Calls `maintain` about once a minute, not all workers at the same moment, until the function that it gives is called. */
export function planMaintenance(maintain: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout>
  let is_over = false
  plan()

  function plan(): void {
    timer = setTimeout(() => void maintain().finally(() => is_over || plan()), 60_000 * (0.75 + Math.random() / 2))
  }

  return () => {
    is_over = true
    clearTimeout(timer)
  }
}
