/** Waiting for what happens elsewhere. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Asks until the answer is neither false nor undefined, and returns it; fails when it takes too long. */
export async function until<T>(ask: () => T | Promise<T>, seconds = 15): Promise<Exclude<T, false | undefined>> {
  const ends_at = performance.now() + seconds * 1000
  for (;;) {
    const answer = await ask()
    if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>
    if (performance.now() > ends_at) throw new Error(`Expected it within ${seconds} s: ${ask}`)
    await sleep(20)
  }
}
