/** How files of migrations are numbered: the next one comes after all that are there. */

/** A time as a number, by its digits: 10 seconds, 13 milliseconds, 14 `YYYYMMDDHHMMSS`, 17 the same with milliseconds. */
const CLOCKS: Readonly<Record<number, (time: Date) => string>> = {
  10: (time) => `${Math.floor(time.getTime() / 1000)}`,
  13: (time) => `${time.getTime()}`,
  14: (time) => time.toISOString().replace(/\D/g, '').slice(0, 14),
  17: (time) => time.toISOString().replace(/\D/g, ''),
}

/**
 * The number that a new file begins with: a time or a count, as the last one there has it.
 * `usual` says how many digits the first file has; 4 is a count.
 */
export function nextNumber(names: readonly string[], usual: 4 | 13 | 14, now: Date): string {
  const last = names
    .map((name) => /^V?(\d+)/i.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .sort((a, b) => Number(BigInt(a) - BigInt(b)))
    .at(-1)
  const clock = CLOCKS[last?.length ?? usual]
  if (last === undefined) return clock?.(now) ?? '1'.padStart(usual, '0')
  const following = `${BigInt(last) + 1n}`.padStart(last.length, '0')
  const time = clock?.(now) ?? following
  return time > last ? time : following
}

/** A name for files and migrations, of letters, digits and `_`. */
export function slug(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, '_').replace(/^_|_$/g, '')
}
