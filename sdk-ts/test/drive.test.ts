import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { PgqError } from '../src/index.ts'
import { planSchedules } from '../src/drive.ts'

beforeEach(() => { vi.useFakeTimers() })
afterEach(() => { vi.useRealTimers() })

/** Drives with these answers, and tells after how many milliseconds it was called and what went wrong. */
async function driveWith(answers: readonly (number | null | Error)[], milliseconds: number): Promise<{ calls: number[]; errors: unknown[]; stop: () => void }> {
  const began = Date.now()
  const [calls, errors]: [number[], unknown[]] = [[], []]
  const stop = planSchedules(async () => {
    const answer = answers[calls.push(Date.now() - began) - 1] ?? null
    if (answer instanceof Error) throw answer
    return answer
  }, (error) => errors.push(error))
  await vi.advanceTimersByTimeAsync(milliseconds)
  return { calls, errors, stop }
}

test('it looks at once, when a schedule is due, and every five seconds', async () => {
  const { calls, stop } = await driveWith([1200, 1, null, 60_000], 12_000)
  expect(calls).toEqual([0, 1200, 1201, 6201, 11_201])
  stop()
})

test('it ends when it is told so', async () => {
  const { calls, stop } = await driveWith([100], 50)
  stop()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(calls).toEqual([0])
})

test('an error is told, and it goes on', async () => {
  const lost = new PgqError('connection_lost', 'x')
  const { calls, errors, stop } = await driveWith([lost], 6000)
  expect({ calls, errors }).toEqual({ calls: [0, 5000], errors: [lost] })
  stop()
})

test.each(['access_denied', 'not_installed'] as const)('where it cannot work (%s) it tells so once', async (code) => {
  const { calls, errors } = await driveWith([new PgqError(code, 'x')], 60_000)
  expect([calls.length, errors.length]).toEqual([1, 1])
})
