/** Reads TAP, as pgTAP prints it: counts assertions and says what is wrong with the rest. */

export interface Tally {
  passed: number
  failed: number
  /** What a person needs to know about each failure. */
  problems: string[]
}

export const tally = (): Tally => ({ passed: 0, failed: 0, problems: [] })

export function fail(into: Tally, problem: string): void {
  into.failed += 1
  into.problems.push(problem)
}

export function add(into: Tally, more: Tally): void {
  into.passed += more.passed
  into.failed += more.failed
  into.problems.push(...more.problems)
}

/**
 * Reads the output of one test file. Beyond each `not ok` it fails at an error, when the file has not exactly one
 * plan, and when the plan and the number of assertions differ (a test that stopped half-way must not look green).
 */
export function readTap(name: string, output: string): Tally {
  const result = tally()
  const plans: number[] = []
  let seen = 0
  /** Lines that belong to a problem follow it: diagnostics after `not ok`, details after an error. */
  let follows: RegExp | undefined
  for (const line of output.split('\n')) {
    const assertion = /^(not )?ok (\d+)(.*)$/.exec(line)
    const plan = /^1\.\.(\d+)/.exec(line)
    if (assertion) {
      seen += 1
      const is_failure = assertion[1] !== undefined && !/# TODO/i.test(assertion[3] ?? '')
      follows = is_failure ? /^#/ : undefined
      if (is_failure) fail(result, `${name}: ${line}`)
      else result.passed += 1
      if (Number(assertion[2]) !== seen) fail(result, `${name}: assertion ${seen} calls itself ${assertion[2]}`)
    } else if (plan) {
      plans.push(Number(plan[1]))
    } else if (/(^|: )(ERROR|FATAL|PANIC): /.test(line)) {
      follows = /^(LINE|DETAIL|HINT|CONTEXT|PL\/pgSQL|SQL | )/
      fail(result, `${name}: ${line}`)
    } else if (follows?.test(line)) {
      result.problems.push(`  ${line}`)
    }
  }
  if (plans.length !== 1) fail(result, `${name}: ${plans.length} plans, expected one`)
  else if (plans[0] !== seen) fail(result, `${name}: ${plans[0]} assertions planned, ${seen} made`)
  return result
}
