/** What runs, and for how long it has. */

const began = performance.now()

export function say(text: string): void {
  console.log(`[${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s] ${text}`)
}

export function elapsedSeconds(): number {
  return (performance.now() - began) / 1000
}
