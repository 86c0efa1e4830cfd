import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { completeJobAndAdd, createJobHandler, failJob, pauseJob, PgQueue, z, type EndpointHandler, type JobHandlerOptions } from '../src/index.ts'
import { dispatch, newEndpointQueue, serve } from './http-support.ts'
import { latch, newQueue, openDb, until } from './support.ts'

/** Handlers that release their jobs themselves, through the database. */
const db = openDb()
const secret = `whsec_${btoa('32 bytes that nobody can know of')}`

/** A queue whose endpoint is the handler; work goes on after the answer, as in a server of one's own. */
async function manualQueue(
  handle: EndpointHandler<{ n: number }>, options: Partial<JobHandlerOptions> = {}, settings: object = {}, handler_db = db,
): Promise<{ queue: PgQueue<{ n: number }>; errors: unknown[] }> {
  const errors: unknown[] = []
  const url = await serve((request) => handler(request))
  const queue = await newEndpointQueue(db, url, { endpoint_manual_release: true, endpoint_timeout_milliseconds: 1000 }, settings)
  await queue.getConfig().rotateSigningSecret(secret)
  const handler = createJobHandler(new PgQueue<{ n: number }>(handler_db, queue.queue_name), handle, {
    signing_secret: secret, manual_release: true, wait_until: (work) => void work, on_error: (error) => errors.push(error), ...options,
  })
  dispatch(db, [queue])
  return { queue, errors }
}

test('the request is answered at once, and the handler\'s result is recorded when it comes', async () => {
  const may_end = latch()
  const { queue } = await manualQueue(async ({ n }) => {
    await may_end.promise
    return { n }
  })
  const { job_id } = await queue.addJob({ n: 1 })
  await until(async () => (await queue.getJob(job_id)).state === 'running' && (await queue.getConfig().endpointStatus())!.in_flight === 0)
  may_end.open()
  expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'complete', output: { n: 1 }, attempt: 1 })
})

test('the lease is kept alive for as long as the handler runs', async () => {
  const { queue, errors } = await manualQueue(async () => {
    await sleep(1200)
    return 'at last'
  }, {}, { timeout_milliseconds: 300 })
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', attempt: 1, output: 'at last' })
  expect(errors).toEqual([])
})

test('so it is where the clocks of handler and database differ', async () => {
  const { queue, errors } = await manualQueue(async () => {
    await sleep(1200)
    return 'at last'
  }, {}, { timeout_milliseconds: 300 })
  // More would make the signature too young.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 4 * 60_000 })
  try {
    expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', attempt: 1, output: 'at last' })
  } finally {
    vi.useRealTimers()
  }
  expect(errors).toEqual([])
})

test.each<[title: string, handle: EndpointHandler<{ n: number }>, expected: object]>([
  ['an error', (_payload, job) => { if (job.attempt === 1) throw new Error('no stamps') }, { state: 'complete', attempt: 2, attempts: [{ outcome: 'failed', error: expect.stringContaining('no stamps') }, {}] }],
  ['failJob', () => failJob('for good', { retry: false }), { state: 'dead', attempt: 1, error: 'for good' }],
  ['its own release', async (_payload, job) => void await job.release('complete', { output: 'mine' }), { state: 'complete', output: 'mine' }],
  ['what jsonb cannot hold', () => 'zero \0', { state: 'dead', error: expect.stringContaining('could not be stored') }],
])('what a handler ends with is recorded: %s', async (_title, handle, expected) => {
  const { queue } = await manualQueue(handle, {}, { max_attempts: 2 })
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject(expected)
})

test('pauseJob gives the job back', async () => {
  let runs = 0
  const { queue } = await manualQueue(() => (runs++ === 0 ? pauseJob({ delay_milliseconds: 100 }) : 'done'))
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', attempt: 1, output: 'done' })
})

test('follow-up jobs are added in the transaction of the completion, all or none', async () => {
  const next = await newQueue(db)
  const { queue } = await manualQueue(({ n }) => completeJobAndAdd(n, [
    { queue_name: next.queue_name, payload: { n } }, { queue_name: next.queue_name, payload: { n: n + 1 }, priority: n === 1 ? 1 : 1000 },
  ]), {}, { max_attempts: 1 })
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', output: 1 })
  expect(await queue.waitForResult((await queue.addJob({ n: 5 })).job_id)).toMatchObject({ state: 'dead', error: expect.stringMatching(/could not be added.*priority/) })
  expect((await next.pickJobs(10)).map(({ job }) => job.payload.n)).toEqual([2, 1])
})

test('without wait_until the answer waits for the work', async () => {
  const url = await serve((request) => handler(request))
  const queue = await newEndpointQueue(db, url, { endpoint_manual_release: true })
  await queue.getConfig().rotateSigningSecret(secret)
  let is_done = false
  const handler = createJobHandler(queue, async () => {
    await sleep(50)
    is_done = true
  }, { signing_secret: secret, manual_release: true })
  let done_at_answer = false
  dispatch(db, [queue], { fetch: async (...request) => fetch(...request).finally(() => (done_at_answer = is_done)) })
  await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  await until(() => done_at_answer)
})

test('a job that somebody else holds by now is not run', async () => {
  const queue = await newQueue(db)
  const { job_id } = await queue.addJob({ n: 1 })
  const { job } = (await queue.pickNextJob())!
  await queue.releaseJob(job_id, 'complete')
  const errors: unknown[] = []
  let runs = 0
  const handler = createJobHandler(queue, () => runs++, { is_insecure_allowed: true, manual_release: true, on_error: (error) => errors.push(error) })
  const { lease_token } = job
  const body = JSON.stringify({ job_id, lease_token, attempt: 1, max_attempts: 1, queue_name: queue.queue_name, payload: { n: 1 }, timeout_milliseconds: 1000 })
  expect((await handler(new Request('https://example.org', { method: 'POST', body }))).status).toBe(202)
  expect(runs).toBe(0)
  expect(errors).toMatchObject([{ code: 'lease_lost' }])
})

test('a cancelled job aborts the signal', async () => {
  const aborted = latch<unknown>()
  const { queue } = await manualQueue((_payload, job) => new Promise((resolve) => job.signal.addEventListener('abort', () => {
    aborted.open(job.signal.reason)
    resolve('too late')
  })), {}, { timeout_milliseconds: 300 })
  const { job_id } = await queue.addJob({ n: 1 })
  await until(async () => (await queue.getJob(job_id)).state === 'running')
  await sleep(100)
  await queue.cancelJob(job_id)
  expect(await aborted.promise).toMatchObject({ code: 'job_cancelled' })
  expect((await queue.waitForResult(job_id)).state).toBe('cancelled')
})

test('a result that finds no connection is recorded when there is one again', async () => {
  const name = 'pgq unstable handler'
  const unstable = openDb({ application_name: name })
  const { queue, errors } = await manualQueue(async ({ n }) => {
    await db.query({ q: 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', args: [name] })
    return n
  }, {}, {}, unstable)
  expect(await queue.waitForResult((await queue.addJob({ n: 7 })).job_id)).toMatchObject({ state: 'complete', output: 7, attempt: 1 })
  expect(errors.every((error) => (error as { code: string }).code === 'connection_lost')).toBe(true)
})

test('a payload that does not fit is released as dead', async () => {
  const url = await serve((request) => handler(request))
  const queue = await newEndpointQueue(db, url, { endpoint_manual_release: true })
  const checked = new PgQueue(db, queue.queue_name, { payload_schema: z.object({ n: z.number().min(5) }) })
  const handler = createJobHandler(checked, () => 'ok', { is_insecure_allowed: true, manual_release: true })
  dispatch(db, [queue])
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'dead', attempt: 1, error: expect.stringContaining('does not fit') })
})

test('a handler that is not told otherwise does as the endpoint is set', async () => {
  const url = await serve((request) => handler(request))
  const queue = await newEndpointQueue(db, url, { endpoint_manual_release: true })
  const handler = createJobHandler(queue, ({ n }) => n, { is_insecure_allowed: true })
  dispatch(db, [queue])
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', output: 1 })
  await queue.getConfig().setEndpoint(true, { endpoint_url: url, endpoint_is_insecure_allowed: true })
  expect(await queue.waitForResult((await queue.addJob({ n: 2 })).job_id)).toMatchObject({ state: 'complete', output: 2 })
})

test.each<[title: string, options: object]>([['a handler without a database', {}], ['a handler that is told not to', { manual_release: false }]])(
  '%s answers its results, also where the endpoint is set to manual release', async (_title, options) => {
    const url = await serve((request) => handler(request))
    const queue = await newEndpointQueue(db, url, { endpoint_manual_release: true })
    const handler = createJobHandler<unknown>('manual_release' in options ? queue : { queue_name: queue.queue_name }, () => 'answered', { is_insecure_allowed: true, ...options })
    dispatch(db, [queue])
    expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', output: 'answered' })
  },
)
