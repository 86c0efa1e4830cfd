import { expect, test } from 'vitest'
import type { DispatchRequest, DispatchSource } from '../src/dispatch-source.ts'
import { runDispatcher } from '../src/dispatcher-loop.ts'
import { dispatcherSettings } from '../src/dispatcher-options.ts'
import type { Transport } from '../src/transport.ts'
import { until } from './support.ts'

/** The loop on a source and a transport that are made up: how much it asks for, and brings, at once. */
const JOBS = 300

/** A line of jobs; `answered` has the sizes of the batches of answers. */
function lineOf(jobs: number, { largest_pick = Infinity }: { largest_pick?: number } = {}): DispatchSource & { readonly answered: { count: number; characters: number }[] } {
  const answered: { count: number; characters: number }[] = []
  let next = 1
  const source: DispatchSource & { readonly answered: typeof answered } = {
    answered,
    async pick({ max_requests }) {
      if (max_requests > largest_pick) throw new Error('out of memory')
      const count = Math.min(max_requests, jobs - next + 1)
      return Array.from({ length: count }, (): DispatchRequest => ({
        queue_name: 'mail', job_id: next++, lease_token: 1, method: 'POST', url: 'https://example.org', headers: {}, body: '', timeout_milliseconds: 1000,
        max_response_bytes: 1, is_insecure_allowed: false,
      }))
    },
    async answer(answers) {
      answered.push({ count: answers.length, characters: answers.reduce((sum, { body = '' }) => sum + body.length, 0) })
      return answers.map(({ job_id }) => ({ job_id, outcome: 'complete' as const, error: null }))
    },
    async answerAndPick(answers, pick) {
      // All or nothing.
      const requests = await source.pick(pick)
      return [await source.answer(answers), requests]
    },
    announceIdle: async () => null,
    announceBusy: async () => {},
    driveSchedules: async () => null,
    maintain: async () => {},
    listen: undefined,
  }
  return source
}

const answering = (body: string): Transport => ({ send: async () => ({ status_code: 200, headers: {}, body, body_is_cut: false }), close() {} })

test('long answers are brought a few at a time', async () => {
  const source = lineOf(JOBS)
  await using dispatcher = runDispatcher(source, answering('x'.repeat(1_000_000)), dispatcherSettings({}))
  await until(() => dispatcher.stats().complete === JOBS)
  expect(Math.max(...source.answered.map(({ characters }) => characters))).toBeLessThanOrEqual(16_000_000)
  expect(Math.max(...source.answered.map(({ count }) => count))).toBeGreaterThan(10)
})

test('an answer that is longer than a batch is brought alone', async () => {
  const source = lineOf(3)
  await using dispatcher = runDispatcher(source, answering('x'.repeat(16_000_001)), dispatcherSettings({}))
  await until(() => dispatcher.stats().complete === 3)
  expect(source.answered.map(({ count }) => count)).toEqual([1, 1, 1])
})

test('where so many requests are too much at once it asks for fewer, until they come', async () => {
  const source = lineOf(JOBS, { largest_pick: 30 })
  const errors: unknown[] = []
  await using dispatcher = runDispatcher(source, answering(''), dispatcherSettings({ on_error: (error) => errors.push(error) }))
  await until(() => dispatcher.stats().complete === JOBS)
  expect(errors).not.toHaveLength(0)
})
