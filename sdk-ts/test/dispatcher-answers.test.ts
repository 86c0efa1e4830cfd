import { setTimeout as sleep } from 'node:timers/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import type { EndpointDetails, PgQueue } from '../src/index.ts'
import { closedUrl, dispatch, jobOf, newEndpointQueue, startServer, type Arrived, type LocalServer } from './http-support.ts'
import { openDb, until } from './support.ts'

/** Every answer that an endpoint can give, through the Node dispatcher: what becomes of the job. */
const db = openDb()

type Step = { status?: number; headers?: Record<string, string>; body?: string | Buffer } | 'hang' | 'close' | 'endless'

/** A queue whose endpoint answers the first request by the first step, and so on; the last one for ever. */
async function endpoint(steps: readonly Step[], details: Partial<EndpointDetails> = {}, settings: object = {}): Promise<{ queue: PgQueue<{ n: number }>; arrived: Arrived[] }> {
  const server: LocalServer = await startServer((_request, response) => {
    const step = steps[Math.min(server.arrived.length, steps.length) - 1]!
    if (step === 'hang') return
    if (step === 'close') return void response.destroy()
    if (step === 'endless') {
      const timer = setInterval(() => response.write('x'.repeat(1000)), 1)
      return void response.on('close', () => clearInterval(timer))
    }
    response.writeHead(step.status ?? 200, step.headers).end(step.body)
  })
  const queue = await newEndpointQueue(db, server.url, details, settings)
  dispatch(db, [queue])
  return { queue, arrived: server.arrived }
}

const JSON_TYPE = { 'content-type': 'application/json' }
const DOCUMENT_TYPE = { 'content-type': 'application/vnd.pgq+json' }
const OK: Step = { body: '"ok"', headers: JSON_TYPE }

// ---- Done

test.each([
  ['JSON is the output', { body: '{"sent": [1, "née"]}', headers: JSON_TYPE }, { sent: [1, 'née'] }],
  ['JSON with parameters in its type too', { status: 201, body: '7', headers: { 'content-type': 'application/json; charset=utf-8' } }, 7],
  ['text is no output', { body: 'thanks', headers: { 'content-type': 'text/plain' } }, null],
  ['what claims to be JSON and is not is no output', { body: '{"sent', headers: JSON_TYPE }, null],
  ['no body, no output', { status: 204 }, null],
  ['bytes that are no text', { body: Buffer.from([0, 255, 254, 98, 0]), headers: { 'content-type': 'application/octet-stream' } }, null],
] as const)('a 2xx completes the job: %s', async (_title, step, output) => {
  const { queue } = await endpoint([step])
  const job = await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(job).toMatchObject({ state: 'complete', attempt: 1, output })
})

test('an answer that jsonb cannot hold does not spoil the others', async () => {
  const { queue } = await endpoint([{ body: String.raw`"zero \u0000"`, headers: JSON_TYPE }, OK])
  const ids = await queue.addJobs(Array.from({ length: 20 }, (_, n) => ({ n })))
  const jobs = await Promise.all(ids.map((id) => queue.waitForResult(id)))
  expect(jobs.map((job) => job.state)).toEqual(ids.map(() => 'complete'))
  expect(jobs.filter((job) => job.output === 'ok').length).toBeGreaterThanOrEqual(19)
})

test('an answer over the cap is cut: the job is complete, and has no output', async () => {
  const { queue } = await endpoint([{ body: JSON.stringify('x'.repeat(3000)), headers: JSON_TYPE }], { endpoint_max_response_bytes: 2000 })
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', output: null })
})

test('an answer that never ends is cut too', async () => {
  const { queue } = await endpoint(['endless'], { endpoint_max_response_bytes: 20_000 })
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', output: null, attempt: 1 })
})

// ---- Released by the handler

test.each([
  ['202', { status: 202 }, {}],
  ['manual release', { status: 200, body: '"not the output"', headers: JSON_TYPE }, { endpoint_manual_release: true }],
] as const)('%s leaves the job running until its handler releases it', async (_title, step, details) => {
  const { queue, arrived } = await endpoint([step], details)
  const { job_id } = await queue.addJob({ n: 1 })
  await until(() => arrived.length > 0)
  await until(async () => (await queue.getConfig().endpointStatus())!.in_flight === 0)
  expect((await queue.getJob(job_id)).state).toBe('running')
  const { lease_token } = jobOf(arrived[0]!) as { lease_token?: number }
  await queue.releaseJob(job_id, 'complete', { lease_token: lease_token!, output: 'by hand' })
  expect(await queue.getJob(job_id)).toMatchObject({ state: 'complete', output: 'by hand' })
  expect(arrived).toHaveLength(1)
})

test('a handler may release before it answers: its answer is ignored then', async () => {
  const server = await startServer(async (request, response) => {
    const { job_id, lease_token } = jobOf(request) as unknown as { job_id: number; lease_token: number }
    await queue.releaseJob(job_id, 'complete', { lease_token, output: 'mine' })
    response.writeHead(500).end('too late')
  })
  const queue = await newEndpointQueue(db, server.url)
  const dispatcher = dispatch(db, [queue])
  const { job_id } = await queue.addJob({ n: 1 })
  await until(() => dispatcher.stats().ignored === 1)
  expect(await queue.getJob(job_id)).toMatchObject({ state: 'complete', output: 'mine', attempt: 1 })
})

// ---- Overloaded

test.each<[title: string, status: number, retryAfter: () => string]>([
  ['429 with seconds', 429, () => '1'],
  ['503 with seconds', 503, () => '1'],
  ['503 with a date', 503, () => new Date(Date.now() + 2000).toUTCString()],
])('%s uses no attempt, and holds the whole endpoint', async (_title, status, retryAfter) => {
  const { queue, arrived } = await endpoint([{ status, headers: { 'Retry-After': retryAfter() } }, OK])
  const first = await queue.addJob({ n: 1 })
  const held_until = await until(async () => (await queue.getConfig().endpointStatus())!.held_until)
  expect(held_until.getTime() - Date.now()).toBeGreaterThan(100)
  expect(held_until.getTime() - Date.now()).toBeLessThan(2100)
  const second = await queue.addJob({ n: 2 })
  const jobs = await Promise.all([first, second].map(({ job_id }) => queue.waitForResult(job_id)))
  expect(jobs.map((job) => [job.state, job.attempt])).toEqual([['complete', 1], ['complete', 1]])
  const waited = arrived[1]!.at - arrived[0]!.at
  expect(waited).toBeGreaterThan(900)
  expect(waited).toBeLessThan(3500)
})

test('429 without Retry-After uses no attempt, and comes again', async () => {
  const { queue } = await endpoint([{ status: 429 }, OK])
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', attempt: 1 })
})

// ---- Failures that may pass

test.each([
  ['408', { status: 408 }, /408/],
  ['425', { status: 425 }, /425/],
  ['500', { status: 500, body: 'the reason' }, /500.*the reason/],
  ['502', { status: 502 }, /502/],
  ['503 without Retry-After', { status: 503 }, /503/],
  ['504', { status: 504 }, /504/],
  ['a connection that closes', 'close', /connection closed/],
] as const)('%s fails the attempt, and the job is tried again', async (_title, step, error) => {
  const { queue } = await endpoint([step, OK])
  const job = await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(job).toMatchObject({ state: 'complete', attempt: 2, output: 'ok' })
  expect(job.attempts[0]).toMatchObject({ outcome: 'failed', error: expect.stringMatching(error) })
})

test('an endpoint that does not answer in time fails the attempt', async () => {
  const { queue } = await endpoint(['hang', OK], { endpoint_timeout_milliseconds: 1000 })
  const job = await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(job).toMatchObject({ state: 'complete', attempt: 2 })
  expect(job.attempts[0]).toMatchObject({ outcome: 'failed', error: 'no answer within 1000 ms' })
})

test('an answer that stops halfway fails the attempt in time', async () => {
  const server = await startServer((_request, response) => void response.writeHead(200, { 'content-length': '10' }).write('half'))
  const queue = await newEndpointQueue(db, server.url, { endpoint_timeout_milliseconds: 1000 }, { max_attempts: 1 })
  dispatch(db, [queue])
  const job = await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(job).toMatchObject({ state: 'dead', error: 'no answer within 1000 ms' })
})

/** Servers that say this to everybody. */
const saying = (words: string): Server => createServer((socket) => socket.on('error', () => {}).on('data', () => socket.end(words)))
const garbage = saying('220 smtp.example.org ESMTP\r\n')
const upgrading = saying('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n')
afterAll(() => [garbage, upgrading].forEach((server) => server.close()))
async function portOf(server: Server): Promise<number> {
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

test.each<[title: string, url: () => string | Promise<string>, error: string]>([
  ['a port where nobody listens', closedUrl, 'connection refused'],
  ['a host that does not exist', () => 'http://no-such-host.invalid', 'host not found'],
  ['a server that speaks no HTTP', async () => `http://127.0.0.1:${await portOf(garbage)}`, 'no HTTP'],
  ['a server that wants to speak something else', async () => `http://127.0.0.1:${await portOf(upgrading)}`, 'no HTTP'],
  ['a server that speaks no TLS', async () => `https://127.0.0.1:${await portOf(garbage)}`, 'TLS error'],
])('%s fails the attempt', async (_title, url, error) => {
  const queue = await newEndpointQueue(db, await url(), {}, { max_attempts: 2 })
  dispatch(db, [queue])
  const job = await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(job).toMatchObject({ state: 'dead', attempt: 2, error: expect.stringContaining(error) })
})

// ---- Failures that will not pass

test('other 4xx die after few attempts', async () => {
  const { queue, arrived } = await endpoint([{ status: 404, body: 'no such page' }], { endpoint_client_error_attempts: 2 })
  const job = await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(job).toMatchObject({ state: 'dead', attempt: 2, error: expect.stringMatching(/404.*no such page/) })
  expect(arrived).toHaveLength(2)
})

test('410 pauses the queue', async () => {
  const { queue, arrived } = await endpoint([{ status: 410 }, OK])
  const { job_id } = await queue.addJob({ n: 1 })
  await until(async () => (await queue.getConfig().get()).paused_until !== null)
  await sleep(300)
  expect(arrived).toHaveLength(1)
  expect((await queue.getJob(job_id)).attempts[0]).toMatchObject({ outcome: 'failed', error: expect.stringMatching(/410/) })
  await queue.getConfig().resume()
  expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'complete' })
})

test.each([301, 302, 303, 307, 308])('a redirect (%d) is a failure, and is not followed', async (status) => {
  const elsewhere = await startServer((_request, response) => void response.end())
  const { queue } = await endpoint([{ status, headers: { Location: elsewhere.url } }], {}, { max_attempts: 1 })
  const job = await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(job).toMatchObject({ state: 'dead', error: expect.stringMatching(/redirect/) })
  expect(elsewhere.arrived).toHaveLength(0)
})

// ---- Answers that say what to do

test('an answer adds follow-up jobs in the transaction of the completion', async () => {
  const next = await newEndpointQueue<{ to: string }>(db, 'https://example.org')
  await next.getConfig().setEndpointActive(false)
  const { queue } = await endpoint([{
    headers: DOCUMENT_TYPE,
    body: JSON.stringify({ output: { id: 7 }, jobs: [{ queue_name: next.queue_name, payload: { to: 'ada' }, priority: 5 }, { queue_name: next.queue_name, payload: { to: 'bob' } }] }),
  }])
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', output: { id: 7 } })
  const added = await next.pickJobs(10)
  expect(added.map(({ job }) => [job.payload.to, job.priority])).toEqual([['ada', 5], ['bob', 0]])
})

test('a bad follow-up job fails the job, and nothing is added', async () => {
  const next = await newEndpointQueue(db, 'https://example.org')
  await next.getConfig().setEndpointActive(false)
  const { queue } = await endpoint([{
    headers: DOCUMENT_TYPE, body: JSON.stringify({ jobs: [{ queue_name: next.queue_name, payload: 1 }, { queue_name: next.queue_name, payload: 2, priority: 1000 }] }),
  }], {}, { max_attempts: 1 })
  const job = await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(job).toMatchObject({ state: 'dead', error: expect.stringMatching(/priority/) })
  expect(await next.stats()).toMatchObject({ ready: 0 })
})

test.each([
  ['failed', { result: 'failed', error: 'no stamps' }, { state: 'scheduled', attempt: 1, error: 'no stamps' }],
  ['failed for good', { result: 'failed', retry: false, error: 'no such address' }, { state: 'dead', attempt: 1, error: 'no such address' }],
  ['paused', { result: 'paused', delay_milliseconds: 60_000 }, { state: 'scheduled', attempt: 0, error: null }],
  ['cancelled', { result: 'cancelled' }, { state: 'cancelled' }],
] as const)('an answer can say that its job is %s', async (_title, document, expected) => {
  const { queue } = await endpoint([{ headers: DOCUMENT_TYPE, body: JSON.stringify(document) }], {}, { pause_between_retries_milliseconds: 60_000 })
  const { job_id } = await queue.addJob({ n: 1 })
  await until(async () => !['ready', 'running'].includes((await queue.getJob(job_id)).state))
  const { attempt, state, error, attempts } = await queue.getJob(job_id)
  expect({ attempt, state, error: error ?? attempts.at(-1)?.error ?? null }).toMatchObject(expected)
  expect(await queue.getConfig().endpointStatus()).toMatchObject({ breaker: 'closed', consecutive_failures: 0 })
})

// ---- The circuit breaker

test('repeated failure opens the breaker; one job tries, and its success closes it', async () => {
  let is_up = false
  const server = await startServer((_request, response) => void response.writeHead(is_up ? 200 : 500).end())
  const queue = await newEndpointQueue(db, server.url, { endpoint_max_in_flight: 1 }, { max_attempts: 100 })
  dispatch(db, [queue])
  const ids = await queue.addJobs(Array.from({ length: 10 }, (_, n) => ({ n })))
  const open = await until(async () => {
    const status = (await queue.getConfig().endpointStatus())!
    return status.breaker === 'open' ? status : undefined
  })
  expect(open.consecutive_failures).toBeGreaterThanOrEqual(5)
  expect(open.held_until).toBeInstanceOf(Date)
  const sent = server.arrived.length
  expect(sent).toBeLessThan(10)
  await sleep(200)
  expect(server.arrived.length - sent).toBeLessThanOrEqual(1)
  is_up = true
  expect((await Promise.all(ids.map((id) => queue.waitForResult(id)))).every((job) => job.state === 'complete')).toBe(true)
  expect(await queue.getConfig().endpointStatus()).toMatchObject({ breaker: 'closed', consecutive_failures: 0, held_until: null })
})
