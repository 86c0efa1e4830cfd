/** What checks expect: a failed expectation says what it found. */

/** Lists that have the same lines, in whatever order. */
export function expectSame(what: string, found: readonly string[], expected: readonly string[]): void {
  const missing = without(expected, found)
  const surplus = without(found, expected)
  if (missing.length + surplus.length === 0) return
  const shown = [...missing.map((line) => `  - ${line}`), ...surplus.map((line) => `  + ${line}`)]
  throw new Error([`${what}: ${missing.length} lines are missing (-), ${surplus.length} too many (+)`,
    ...shown.slice(0, 30).map((line) => line.slice(0, 300)), ...(shown.length > 30 ? ['  …'] : [])].join('\n'))
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>()
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1)
  return lines.filter((line) => {
    const count = left.get(line) ?? 0
    left.set(line, count - 1)
    return count <= 0
  })
}

/** Tables that have the same rows. */
export function expectSameRows(found: ReadonlyMap<string, readonly string[]>, expected: ReadonlyMap<string, readonly string[]>): void {
  for (const [table, rows] of expected) expectSame(`table ${table}`, found.get(table) ?? [], rows)
}

export function expectEqual(what: string, found: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)]
  if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`)
}

/** What `work` throws, which must match. */
export function expectError(pattern: RegExp, work: () => unknown): void {
  let message: string | undefined
  try {
    work()
  } catch (error) {
    message = error instanceof Error ? error.message : String(error)
  }
  if (message === undefined || !pattern.test(message)) throw new Error(`expected an error like ${pattern}, got ${message ?? 'none'}`)
}

export function expectMatch(what: string, found: string | undefined, pattern: RegExp): void {
  if (found === undefined || !pattern.test(found)) throw new Error(`${what}: expected ${pattern}, got ${found}`)
}
