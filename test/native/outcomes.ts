/** What each answer of an endpoint leads to, by way of the native dispatcher; a file for each era of pg_net. */
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Era } from '../support/pg_net/eras.ts'
import type { Answer, Received } from './endpoint.ts'
import { startStage, type JobRow, type Stage } from './stage.ts'
import { until } from './until.ts'

const JSON_TYPE = { 'Content-Type': 'application/json; charset=utf-8' }
const DOCUMENT = { 'Content-Type': 'application/vnd.pgq+json' }

interface Case {
  readonly title: string
  readonly answer?: Answer
  /** Of the endpoint. */
  readonly settings?: Readonly<Record<string, unknown>>
  readonly expected: Partial<Omit<JobRow, 'error'>> & { error?: unknown }
  /** Further things to look at. */
  readonly also?: (stage: Stage, job: JobRow, queue_name: string) => unknown
}

const failed = (error: RegExp): Case['expected'] => ({ state: 'scheduled', attempt: 1, error: expect.stringMatching(error) })
const paused: Case['expected'] = { state: 'scheduled', attempt: 0 }

async function heldSeconds({ sql }: Stage, queue_name: string): Promise<number> {
  const [row] = await sql<[{ seconds: number | null }]>`
    SELECT EXTRACT(epoch FROM s.held_until - clock_timestamp())::float AS seconds FROM pgq.endpoint_status(${queue_name}) AS s`
  return row.seconds ?? 0
}

const CASES: readonly Case[] = [
  { title: '200 with json completes the job with it as output', answer: { headers: JSON_TYPE, body: '{"a": 1}' }, expected: { state: 'complete', output: { a: 1 } } },
  { title: '204 completes it without', answer: { status: 204 }, expected: { state: 'complete', output: null } },
  { title: 'a body that is no json is no output', answer: { headers: { 'Content-Type': 'text/plain' }, body: 'done' }, expected: { state: 'complete', output: null } },
  { title: 'a body that says it is json and is none is no output', answer: { headers: JSON_TYPE, body: '{"a":' }, expected: { state: 'complete', output: null } },
  { title: 'bytes that are no text are no output', answer: { headers: JSON_TYPE, body: Buffer.from([0x22, 0xff, 0xfe, 0x22]) }, expected: { state: 'complete', output: null } },
  { title: 'letters of all kinds are', answer: { headers: JSON_TYPE, body: '"äß€𝄞\\u00e9"' }, expected: { state: 'complete', output: 'äß€𝄞é' } },
  {
    title: 'a body over the cap is no output', answer: { headers: JSON_TYPE, body: JSON.stringify('x'.repeat(2000)) },
    settings: { max_response_bytes: 1000 }, expected: { state: 'complete', output: null },
  },
  { title: '201 may tell a location', answer: { status: 201, headers: { Location: '/made' } }, expected: { state: 'complete' } },
  { title: '202 leaves the job running', answer: { status: 202 }, expected: { state: 'running', attempt: 1 } },
  { title: 'manual release leaves it running', settings: { manual_release: true }, answer: { headers: JSON_TYPE, body: '1' }, expected: { state: 'running', attempt: 1 } },
  {
    title: 'a document completes it, and adds jobs in the same transaction',
    answer: { headers: DOCUMENT, body: '{"output": {"b": 2}, "jobs": [{"queue_name": "next", "payload": {"from": "document"}}]}' },
    expected: { state: 'complete', output: { b: 2 } },
    async also({ sql }) {
      expect(await sql`SELECT j.payload FROM pgq.list_jobs('next') AS j`).toMatchObject([{ payload: { from: 'document' } }])
    },
  },
  {
    title: 'a document with a bad job fails it, and adds nothing',
    answer: { headers: DOCUMENT, body: '{"jobs": [{"queue_name": "never", "payload": 1}, {"queue_name": ""}]}' },
    expected: failed(/job/),
    async also({ sql }) {
      expect(await sql`SELECT FROM pgq.queue AS q WHERE q.queue_name = 'never'`).toHaveLength(0)
    },
  },
  { title: 'a document that is none fails it', answer: { headers: DOCUMENT, body: '[' }, expected: failed(/document/) },
  { title: 'a document may give it back', answer: { headers: DOCUMENT, body: '{"result": "paused", "delay_milliseconds": 60000}' }, expected: paused },
  {
    title: '429 with Retry-After uses no attempt and holds the endpoint', answer: { status: 429, headers: { 'Retry-After': '70' } }, expected: paused,
    also: async (stage, _, queue_name) => expect(await heldSeconds(stage, queue_name)).toBeGreaterThan(30),
  },
  {
    title: '503 with a date does so too', answer: { status: 503, headers: { 'Retry-After': new Date(Date.now() + 300_000).toUTCString() } }, expected: paused,
    also: async (stage, _, queue_name) => expect(await heldSeconds(stage, queue_name)).toBeGreaterThan(200),
  },
  { title: '429 without uses no attempt', answer: { status: 429 }, expected: paused },
  { title: '408 backs off', answer: { status: 408 }, expected: failed(/^HTTP 408/) },
  { title: '425 backs off', answer: { status: 425 }, expected: failed(/^HTTP 425/) },
  { title: '500 backs off, with the beginning of its body', answer: { status: 500, body: `oh no ${'y'.repeat(5000)}` }, expected: failed(/^HTTP 500: oh no y{100,200}$/) },
  { title: '500 with bytes that are no text backs off', answer: { status: 500, body: Buffer.from([0xff, 0xfe]) }, expected: failed(/^HTTP 500/) },
  { title: '503 without Retry-After backs off', answer: { status: 503 }, expected: failed(/^HTTP 503/) },
  { title: '404 backs off', answer: { status: 404, body: 'no such page' }, expected: failed(/^HTTP 404: no such page/) },
  { title: '404 is final after client_error_attempts', answer: { status: 404 }, settings: { client_error_attempts: 1 }, expected: { state: 'dead', attempt: 1, error: expect.stringMatching(/^HTTP 404/) } },
  {
    title: '410 pauses the queue', answer: { status: 410 }, expected: failed(/^HTTP 410/),
    async also({ sql }, _, queue_name) {
      const [row] = await sql`SELECT s.is_paused FROM pgq.endpoint_status(${queue_name}) AS s`
      expect(row).toEqual({ is_paused: true })
    },
  },
  { title: 'a redirect is a failure, although pg_net follows it', answer: { status: 302, headers: { Location: '/elsewhere' } }, expected: failed(/redirected/) },
  { title: 'a redirect that repeats the POST is one too', answer: { status: 307, headers: { Location: '/elsewhere' } }, expected: failed(/redirected/) },
  { title: 'a redirect to itself is one too', answer: { status: 302, headers: { Location: '/itself' } }, settings: { url: '/itself' }, expected: failed(/redirects/) },
  { title: 'no answer in time backs off', answer: { delay: Infinity }, settings: { timeout_milliseconds: 1000 }, expected: failed(/no answer within 1000 ms/) },
  {
    title: 'no answer in time leaves it running with manual release', answer: { delay: Infinity },
    settings: { timeout_milliseconds: 1000, manual_release: true }, expected: { state: 'running', attempt: 1 },
  },
  { title: 'a connection that is cut backs off', answer: { is_cut: true }, expected: failed(/^no answer: Server returned nothing/) },
  { title: 'a refused connection backs off', settings: { url: 'http://127.0.0.1:9/' }, expected: failed(/^no answer: Couldn't connect/) },
  { title: 'an unknown host backs off', settings: { url: 'http://nowhere.invalid/' }, expected: failed(/^no answer: Couldn't resolve/) },
]

/** Declares the tests of one era. */
export function testOutcomes(era: Era): void {
  let stage: Stage
  const jobs = new Map<Case, number>()
  const nameOf = (one: Case): string => `case-${CASES.indexOf(one)}`

  beforeAll(async () => {
    stage = await startStage({ era })
    stage.endpoint.answers(({ path }) => {
      if (path === '/itself') return { status: 302, headers: { Location: '/itself' } }
      return CASES[Number(/^\/case-(\d+)/.exec(path)?.[1])]?.answer ?? {}
    })
    for (const one of CASES) {
      const url = one.settings?.['url'] as string | undefined
      await stage.setEndpoint(nameOf(one), { ...one.settings, ...(url?.startsWith('/') ? { url: stage.endpoint.url(url) } : {}) })
      jobs.set(one, await stage.add(nameOf(one), { case: one.title }))
    }
    await stage.dispatchUntil(async () => {
      const [row] = await stage.sql<[{ fresh: number; under_way: number }]>`
        SELECT (SELECT count(*) FROM pgq.job AS j WHERE j.queue_id IN (SELECT e.queue_id FROM pgq.endpoint AS e)
                AND j.lease_token IS NULL AND j.start_after <= j.added_at) AS fresh,
               (SELECT count(*) FROM pgq.request) AS under_way`
      return row.fresh === 0 && row.under_way === 0
    })
  })
  afterAll(() => stage?.[Symbol.asyncDispose]())

  test.each(CASES)('$title', async (one) => {
    const job = await stage.job(jobs.get(one)!)
    const { error, ...expected } = one.expected
    expect(job).toMatchObject(expected)
    if (error !== undefined) expect(job.error ?? job.attempts?.at(-1)?.error).toEqual(error)
    await one.also?.(stage, job, nameOf(one))
  })

  test('nothing is left under way, and no step has failed', async () => {
    const [row] = await stage.sql`
      SELECT (SELECT count(*) FROM pgq.native_request) AS requests, (SELECT count(*) FROM net._http_response) AS answers,
             (SELECT e.fault FROM pgq.native_epoch AS e) AS fault`
    expect(row).toEqual({ requests: 0, answers: 0, fault: null })
  })

  describe('the request', () => {
    const verify = (secret: string, received: Received): unknown => {
      return new Webhook(secret).verify(received.body, received.headers as Record<string, string>)
    }
    const sent = async (queue_name: string): Promise<Received> => {
      await stage.dispatchUntil(() => stage.endpoint.received.some(({ path }) => path.startsWith(`/${queue_name}`)))
      return stage.endpoint.received.filter(({ path }) => path.startsWith(`/${queue_name}`)).at(-1)!
    }

    test('is signed, with both keys while they change', async () => {
      await stage.setEndpoint('signed')
      const [{ old }] = await stage.sql<[{ old: string }]>`SELECT pgq.set_endpoint_signing_secret('signed') AS old`
      const [{ young }] = await stage.sql<[{ young: string }]>`SELECT pgq.set_endpoint_signing_secret('signed') AS young`
      await stage.add('signed', { text: 'häßlich "…" 𝄞', n: [1, 2.5, null] })
      const received = await sent('signed')
      expect(verify(old, received)).toMatchObject({ queue_name: 'signed', payload: { text: 'häßlich "…" 𝄞', n: [1, 2.5, null] }, attempt: 1 })
      verify(young, received)
      expect(() => verify(`whsec_${Buffer.from('wrong'.repeat(8)).toString('base64')}`, received)).toThrow()
      expect(() => verify(young, { ...received, body: received.body.replace('signed', 'forged') })).toThrow()
    })

    test('has the token, the headers of the endpoint, and the trace of the job', async () => {
      await stage.setEndpoint('headers', { bearer_token_location: 'inline', headers: { 'X-Team': 'blue' } })
      await stage.sql`SELECT pgq.set_endpoint_bearer_token('headers', 'token-of-the-test')`
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
      await stage.sql`SELECT FROM pgq.add_job('headers', '{}', headers => ${stage.sql.json({ traceparent })})`
      const { headers, method } = await sent('headers')
      expect(method).toBe('POST')
      expect(headers).toMatchObject({
        authorization: 'Bearer token-of-the-test', 'x-team': 'blue', traceparent, 'content-type': 'application/json',
        'user-agent': expect.stringMatching(/^pgq\//), 'webhook-id': expect.stringMatching(/^job_/),
      })
    })

    test('is a GET with the job in its query, if the endpoint wants that', async () => {
      await stage.setEndpoint('getting', { method: 'GET', url: stage.endpoint.url('/getting?key=1') })
      const [{ secret }] = await stage.sql<[{ secret: string }]>`SELECT pgq.set_endpoint_signing_secret('getting') AS secret`
      const job_id = await stage.add('getting', { 'a b': 'ü&=%' })
      const received = await sent('getting')
      const job = new URL(received.path, 'http://h').searchParams.get('job')!
      expect(JSON.parse(job)).toMatchObject({ job_id, queue_name: 'getting', payload: { 'a b': 'ü&=%' } })
      verify(secret, { ...received, body: job })
      expect(received).toMatchObject({ method: 'GET', body: '' })
      await until(async () => (await stage.job(job_id)).state === 'complete' || stage.dispatchUntil(async () => (await stage.job(job_id)).state === 'complete'))
    })

    test('keeps its id over retries', async () => {
      stage.endpoint.answers(({ path }) => (path === '/again' ? { status: 500 } : {}))
      await stage.setEndpoint('again')
      await stage.sql`SELECT FROM pgq.set_queue_config('again', pause_between_retries_milliseconds => 0)`
      await stage.add('again')
      const requests = await stage.dispatchUntil(() => {
        const all = stage.endpoint.received.filter(({ path }) => path === '/again')
        return all.length >= 2 && all
      })
      const [first, second] = requests as [Received, Received]
      expect(second.headers['webhook-id']).toBe(first.headers['webhook-id'])
      expect(JSON.parse(second.body)).toMatchObject({ attempt: 2 })
      expect(JSON.parse(second.body).lease_token).not.toBe(JSON.parse(first.body).lease_token)
      await stage.sql`SELECT FROM pgq.set_endpoint_active('again', false)`
    })
  })

  test('five failures open the breaker, and one request tries when it is half open', async () => {
    let is_well = false
    stage.endpoint.answers(({ path }) => (path === '/breaker' && !is_well ? { status: 500 } : {}))
    await stage.setEndpoint('breaker')
    for (let n = 0; n < 6; n++) await stage.add('breaker', { n })
    const breaker = async (): Promise<string> => {
      const [row] = await stage.sql<[{ breaker: string }]>`SELECT s.breaker FROM pgq.endpoint_status('breaker') AS s`
      return row.breaker
    }
    await stage.dispatchUntil(async () => (await breaker()) === 'open')
    is_well = true
    await stage.add('breaker')
    await stage.add('breaker')
    await stage.dispatchUntil(async () => (await breaker()) === 'closed')
    await stage.dispatchUntil(async () => (await stage.sql`SELECT FROM pgq.list_jobs('breaker', 'complete') AS j`).length === 2)
  })
}
