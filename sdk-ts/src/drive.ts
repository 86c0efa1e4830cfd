/** Driving schedules: every worker and dispatcher does it, and whoever comes first adds the job. Mirrors functions/49-drive.sql. */
import { PgqError } from './errors.ts'

/** How often it looks, for schedules that are new. */
const LOOK_MILLISECONDS = 5000

/**
 * Calls `drive`, which gives the milliseconds until a schedule is due or null, when one is due, and every few seconds; until the
 * function that it gives is called, or the database does not know or allow it.
 */
export function planSchedules(drive: () => Promise<number | null>, on_error: (error: unknown) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let is_over = false
  plan(0)

  function plan(milliseconds: number): void {
    if (!is_over) timer = setTimeout(() => void look(), milliseconds)
  }

  async function look(): Promise<void> {
    let due_in: number | null = null
    try {
      due_in = await drive()
    } catch (error) {
      on_error(error)
      if (error instanceof PgqError && (error.code === 'access_denied' || error.code === 'not_installed')) return
    }
    plan(Math.min(due_in ?? LOOK_MILLISECONDS, LOOK_MILLISECONDS))
  }

  return () => {
    is_over = true
    clearTimeout(timer)
  }
}
