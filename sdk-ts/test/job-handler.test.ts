import { Webhook } from 'standardwebhooks'
import { expect, test } from 'vitest'
import {
  completeJob, completeJobAndAdd, createJobHandler, failJob, pauseJob, PgQueue, startWorker, z, type DispatchedJobContext, type JobHandlerOptions,
} from '../src/index.ts'
import { dispatch, newEndpointQueue, serve } from './http-support.ts'
import { errorOf, newQueue, openDb, stopAfterwards } from './support.ts'

const db = openDb()
const secret = `whsec_${btoa('32 bytes that nobody can know of')}`
const other_secret = `whsec_${btoa('32 other bytes nobody can know..')}`
const mail = { queue_name: 'mail', payload_schema: z.object({ to: z.string() }) }
const JOB = { job_id: 7, lease_token: 123, attempt: 2, max_attempts: 5, queue_name: 'mail', payload: { to: 'ada' }, headers: { a: 1 }, timeout_milliseconds: 5000 }

interface RequestOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  /** null: not signed. */
  readonly sign_with?: string | null
  readonly at?: Date
  readonly signal?: AbortSignal
}

/** A request as a dispatcher sends it, or nearly. */
function requestOf(job: unknown, { method = 'POST', headers = {}, sign_with = secret, at = new Date(), signal }: RequestOptions = {}): Request {
  const text = typeof job === 'string' ? job : JSON.stringify(job)
  const signed = sign_with === null ? {} : {
    'webhook-id': 'job_7', 'webhook-timestamp': `${Math.floor(at.getTime() / 1000)}`, 'webhook-signature': new Webhook(sign_with).sign('job_7', at, text),
  }
  const url = `https://example.org/jobs${method === 'GET' ? `?job=${encodeURIComponent(text)}` : ''}`
  return new Request(url, { method, headers: { ...signed, ...headers }, ...(method === 'POST' && { body: text }), ...(signal && { signal }) })
}

function handlerOf(handle: (payload: { to: string }, job: DispatchedJobContext) => unknown, options: JobHandlerOptions = { signing_secret: secret }) {
  return createJobHandler(mail, handle, options)
}

const document = async (response: Response): Promise<unknown> => {
  expect(response.headers.get('content-type')).toBe('application/vnd.pgq+json')
  return response.json()
}

// ---- What it takes

test('a handler gets the parsed payload and what is known of the job', async () => {
  let got: unknown
  const handle = handlerOf((payload, job) => {
    const { job_id, queue_name, attempt, max_attempts, headers, lease_token, timeout_milliseconds } = job
    got = { payload, job_id, queue_name, attempt, max_attempts, headers, lease_token, timeout_milliseconds, aborted: job.signal.aborted }
  })
  expect((await handle(requestOf(JOB))).status).toBe(204)
  const { payload, ...rest } = JOB
  expect(got).toEqual({ payload, ...rest, aborted: false })
  expect((await handle(requestOf(JOB, { method: 'GET' }))).status).toBe(204)
})

test.each([
  ['no signature', requestOf(JOB, { sign_with: null }), 401],
  ['a signature of another secret', requestOf(JOB, { sign_with: other_secret }), 401],
  ['a signature of ten minutes ago', requestOf(JOB, { at: new Date(Date.now() - 600_000) }), 401],
  ['a signature of the future', requestOf(JOB, { at: new Date(Date.now() + 600_000) }), 401],
  ['a signature of another body', new Request('https://example.org', { method: 'POST', headers: requestOf(JOB).headers, body: '{}' }), 401],
  ['a signature that is none', requestOf(JOB, { headers: { 'webhook-signature': 'v1,née=' } }), 401],
  ['a signature of another version', requestOf(JOB, { headers: { 'webhook-signature': 'v1a,abc v2,def' } }), 401],
  ['a job of another queue', requestOf({ ...JOB, queue_name: 'other' }), 404],
  ['no JSON', requestOf('{"job_id": 7'), 400],
  ['JSON that is no job', requestOf([JOB]), 400],
  ['a job without a lease', requestOf({ ...JOB, lease_token: undefined }), 400],
  ['a job with an id of text', requestOf({ ...JOB, job_id: '7' }), 400],
  ['another method', new Request('https://example.org', { method: 'PUT', body: '{}' }), 405],
  ['nothing', requestOf(''), 400],
])('it refuses %s', async (_title, request, status) => {
  let runs = 0
  const response = await handlerOf(() => runs++)(request)
  expect(response.status).toBe(status)
  expect(runs).toBe(0)
  expect(await response.text()).not.toContain('whsec')
})

test('either of several secrets will do', async () => {
  const handle = handlerOf(() => 'ok', { signing_secret: [other_secret, secret] })
  expect((await handle(requestOf(JOB))).status).toBe(200)
  expect((await handle(requestOf(JOB, { sign_with: other_secret }))).status).toBe(200)
  const two = requestOf(JOB)
  two.headers.set('webhook-signature', `v1,bm90aGluZw== ${two.headers.get('webhook-signature')}`)
  expect((await handlerOf(() => 'ok')(two)).status).toBe(200)
})

test.each([
  ['the token', 'Bearer t0ken née', 200], ['the token in other letters', 'bearer t0ken née', 200], ['none', undefined, 401], ['another', 'Bearer t0ken', 401],
  ['a longer one', 'Bearer t0ken née2', 401], ['an empty one', 'Bearer ', 401], ['another kind', 'Basic t0ken née', 401],
] as const)('a bearer token is asked for: %s', async (_title, authorization, status) => {
  const handle = handlerOf(() => 'ok', { bearer_token: ['older', 't0ken née'] })
  const request = requestOf(JOB, { sign_with: null, headers: authorization === undefined ? {} : { authorization } })
  expect((await handle(request)).status).toBe(status)
})

test('with secret and token both are asked for', async () => {
  const handle = handlerOf(() => 'ok', { signing_secret: secret, bearer_token: 'abc' })
  expect((await handle(requestOf(JOB))).status).toBe(401)
  expect((await handle(requestOf(JOB, { sign_with: null, headers: { authorization: 'Bearer abc' } }))).status).toBe(401)
  expect((await handle(requestOf(JOB, { headers: { authorization: 'Bearer abc' } }))).status).toBe(200)
})

test('a request that is too long is refused, also where it does not say how long it is', async () => {
  const handle = handlerOf(() => 'ok', { signing_secret: secret, max_request_bytes: 1000 })
  const long = { ...JOB, payload: { to: 'x'.repeat(2000) } }
  expect((await handle(requestOf(long))).status).toBe(413)
  const body = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(600)) })
  expect((await handle(new Request('https://example.org', { method: 'POST', body, duplex: 'half' } as RequestInit))).status).toBe(413)
})

test.each([
  ['nothing', {}], ['a secret that is missing', { signing_secret: undefined }], ['an empty one', { signing_secret: '' }], ['none of several', { signing_secret: [] }],
  ['a missing token beside a secret', { signing_secret: secret, bearer_token: undefined }], ['a secret that is none', { signing_secret: 'whsec_*!' }],
  ['a size that is none', { signing_secret: secret, max_request_bytes: 0 }], ['manual release without a database', { signing_secret: secret, manual_release: true }],
] as const)('it is not made with %s', async (_title, options) => {
  const error = await errorOf(() => handlerOf(() => 'ok', options), 'invalid_argument')
  expect(String(error)).not.toContain('whsec_*!')
})

test('it may be made insecure, if one says so', async () => {
  expect((await handlerOf(() => 'ok', { is_insecure_allowed: true })(requestOf(JOB, { sign_with: null }))).status).toBe(200)
})

// ---- What it answers

test.each<[title: string, handle: () => unknown, output: unknown]>([
  ['an output', () => ({ sent: true }), { sent: true }],
  ['an output later', async () => 'née', 'née'],
  ['null', () => null, null],
  ['completeJob', () => completeJob('failed'), 'failed'],
])('what a handler returns is the answer: %s', async (_title, handle, output) => {
  const response = await handlerOf(handle)(requestOf(JOB))
  expect([response.status, response.headers.get('content-type'), await response.json()]).toEqual([200, 'application/json', output])
})

test.each<[title: string, handle: () => unknown, document: object]>([
  ['an error', () => { throw new TypeError('no stamps') }, { result: 'failed', error: expect.stringMatching(/^TypeError: no stamps/) }],
  ["'failed'", () => 'failed', { result: 'failed', error: "the handler returned 'failed'" }],
  ['failJob', () => failJob('no', { retry: false }), { result: 'failed', error: 'no', retry: false }],
  ['failJob thrown', () => { throw failJob('busy', { delay_milliseconds: 500 }) }, { result: 'failed', error: 'busy', delay_milliseconds: 500 }],
  ['pauseJob', () => pauseJob({ delay_milliseconds: 60_000 }), { result: 'paused', delay_milliseconds: 60_000 }],
  ["'paused'", async () => 'paused', { result: 'paused' }],
  ['what has no JSON', () => 1n, { result: 'failed', error: expect.stringContaining('BigInt') }],
  ['follow-up jobs', () => completeJobAndAdd({ id: 7 }, [{ queue_name: 'b', payload: 1, retries: 3, priority: 2 }]), { result: 'complete', output: { id: 7 }, jobs: [{ queue_name: 'b', payload: 1, max_attempts: 3, priority: 2 }] }],
])('what else a handler ends with says what becomes of the job: %s', async (_title, handle, expected) => {
  expect(await document(await handlerOf(handle)(requestOf(JOB)))).toEqual(expected)
})

test('a payload that does not fit makes the job dead at once', async () => {
  let runs = 0
  const response = await handlerOf(() => runs++)(requestOf({ ...JOB, payload: { to: 1 } }))
  expect(await document(response)).toEqual({ result: 'failed', retry: false, error: expect.stringMatching(/does not fit.*to:/) })
  expect(runs).toBe(0)
})

test('a long error is cut, so that the answer is not', async () => {
  const { error } = await document(await handlerOf(() => { throw new Error('x'.repeat(100_000)) })(requestOf(JOB))) as { error: string }
  expect(error.length).toBe(4000)
})

test('the signal aborts when nobody waits any more', async () => {
  const reasonOf = (job: DispatchedJobContext): Promise<unknown> => new Promise((resolve) => job.signal.addEventListener('abort', () => resolve(job.signal.reason)))
  let reason: unknown
  const handle = handlerOf(async (_payload, job) => void (reason = await reasonOf(job)))
  await handle(requestOf({ ...JOB, timeout_milliseconds: 50 }))
  expect(reason).toMatchObject({ code: 'lease_lost' })
  const controller = new AbortController()
  const answer = handle(requestOf(JOB, { signal: controller.signal }))
  reason = undefined
  setTimeout(() => controller.abort(), 20)
  await answer
  expect(reason).toMatchObject({ code: 'lease_lost' })
})

test('without a database a job cannot be released by hand', async () => {
  const response = await handlerOf((_payload, job) => job.release('complete'))(requestOf(JOB))
  expect(await document(response)).toMatchObject({ result: 'failed', error: expect.stringContaining('no database') })
})

test('what only an endpoint can answer fails in a worker', async () => {
  const queue = await newQueue(db, { max_attempts: 1 })
  stopAfterwards(startWorker(queue, () => completeJobAndAdd(1, [])))
  expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'dead', error: expect.stringContaining('createJobHandler') })
})

// ---- With a dispatcher

test('several queues share an endpoint, and everything that a handler can end with becomes of its job', async () => {
  const url = await serve((request) => handle(request))
  const numbers = await newEndpointQueue<number>(db, url)
  const texts = new PgQueue(db, (await newEndpointQueue(db, url)).queue_name, { payload_schema: z.string().transform((text) => text.length) })
  const both = [numbers, texts] as const
  for (const queue of both) await queue.getConfig().rotateSigningSecret(secret)
  const handle = createJobHandler(both, (payload: number, job) => {
    if (job.queue_name === texts.queue_name) return { length: payload }
    if (payload === 1) return failJob('for good', { retry: false })
    if (payload === 2 && job.attempt < 3) throw new Error('again')
    if (payload === 3) return completeJobAndAdd('added', [{ queue_name: texts.queue_name, payload: 'four' }])
    return payload
  }, { signing_secret: secret })
  dispatch(db, both)
  const done = async (n: number) => numbers.waitForResult((await numbers.addJob(n)).job_id)
  expect(await done(0)).toMatchObject({ state: 'complete', output: 0 })
  expect(await done(1)).toMatchObject({ state: 'dead', attempt: 1, error: 'for good' })
  expect(await done(2)).toMatchObject({ state: 'complete', attempt: 3, output: 2 })
  expect(await done(3)).toMatchObject({ state: 'complete', output: 'added' })
  expect(await texts.waitForResult((await texts.addJob('seven..')).job_id)).toMatchObject({ output: { length: 7 } })
  const followed: unknown[] = []
  for await (const job of texts.listJobs()) followed.push(job.payload)
  expect(followed.sort()).toEqual(['four', 'seven..'])
})
