/** Chance that can be repeated: a test prints its seed, and PGQ_TEST_SEED=… makes the same choices again. */

export interface Chance {
  /** True with this probability, 0 to 1. */
  happens(probability: number): boolean
  /** A whole number, both ends included. */
  between(low: number, high: number): number
  /** One of them, each as likely. */
  oneOf<Item>(items: readonly Item[]): Item
  /** Some of them, at least one, in any order. */
  someOf<Item>(items: readonly Item[]): Item[]
  /** Another generator that depends on this one, so that one actor's choices do not hang on another's pace. */
  fork(): Chance
}

/** The seed of this run: PGQ_TEST_SEED, or a new one. */
export function chooseSeed(): number {
  return Number(process.env['PGQ_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
}

export function chanceOf(seed: number): Chance {
  // Mulberry32, by Tommy Ettinger (public domain): small, and good enough for choices.
  let state = seed >>> 0
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1))
  return {
    happens: (probability) => next() < probability,
    between,
    oneOf: (items) => items[between(0, items.length - 1)]!,
    someOf(items) {
      const rest = [...items]
      return Array.from({ length: between(1, items.length) }, () => rest.splice(between(0, rest.length - 1), 1)[0]!)
    },
    fork: () => chanceOf(Math.floor(next() * 2 ** 32)),
  }
}
