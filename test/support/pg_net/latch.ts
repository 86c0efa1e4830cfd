/** What a background worker of PostgreSQL sleeps on: once set, the next wait returns at once, and takes it back. */
export interface Latch {
  set(): void
  /** Returns when it is set, or after so many milliseconds. */
  wait(milliseconds?: number): Promise<void>
}

export function makeLatch(): Latch {
  let is_set = false
  let wake: (() => void) | undefined
  return {
    set() {
      is_set = true
      wake?.()
    },
    async wait(milliseconds) {
      if (!is_set) {
        await new Promise<void>((resolve) => {
          const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds)
          wake = () => (clearTimeout(timer), resolve())
        })
      }
      wake = undefined
      is_set = false
    },
  }
}
