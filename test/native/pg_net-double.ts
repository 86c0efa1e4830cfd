/** What was found on pg_net itself (0.14.0 and 0.20.4), as tests of its double; a file for each era, so that they run at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startCluster, type Cluster } from '../support/cluster.ts'
import type { Era } from '../support/pg_net/eras.ts'
import { installPgNet, pgNetSettings, startPgNet, type PgNet } from '../support/pg_net/start.ts'
import { openSession, refusal, type Session } from '../support/session.ts'
import { startEndpoint, type Endpoint, type Received } from './endpoint.ts'
import { until } from './until.ts'

const BATCH = 10

interface ResponseRow {
  readonly id: number
  readonly status_code: number | null
  readonly content_type: string | null
  readonly headers: Record<string, string> | null
  readonly content: string | null
  readonly timed_out: boolean | null
  readonly error_msg: string | null
  readonly created: Date
}

let cluster: Cluster
let endpoint: Endpoint
let sql: Session
let worker: PgNet

/** A server with the double of this era, and its worker. */
function inEra(era: Era): void {
  beforeAll(async () => {
    cluster = await startCluster({ settings: pgNetSettings('postgres', BATCH) })
    endpoint = await startEndpoint()
    installPgNet(cluster, 'postgres', era)
    sql = openSession(cluster.url)
    worker = await startPgNet(cluster.url, era)
  })
  afterAll(async () => {
    await worker?.[Symbol.asyncDispose]()
    await sql?.end()
    await endpoint?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    endpoint.received.length = 0
    endpoint.answers(() => ({}))
  })
}

async function post(path = '/', { timeout = 5000, headers = {} }: { timeout?: number; headers?: object } = {}): Promise<number> {
  const [row] = await sql<[{ id: number }]>`
    SELECT net.http_post(url => ${endpoint.url(path)}, body => '{"b": 1, "a": [2]}', headers => ${sql.json(headers as never)},
                         timeout_milliseconds => ${timeout}) AS id`
  return row.id
}

const responses = (): Promise<ResponseRow[]> => sql<ResponseRow[]>`
  SELECT r.id, r.status_code, r.content_type, r.headers, r.content, r.timed_out, r.error_msg, r.created
  FROM net._http_response AS r ORDER BY r.id`
const waiting = async (): Promise<number> => (await sql`SELECT FROM net.http_request_queue`).length

async function responseTo(id: number): Promise<ResponseRow> {
  return until(async () => (await responses()).find((row) => row.id === id))
}

/** Declares the tests of one era. */
export function testDouble(era: Era): void {
  inEra(era)
  const timed_out = era === 'C' ? true : null
  const no_answer = { status_code: null, content_type: null, headers: null, content: null }

  test('an answer is stored with its headers as they were sent', async () => {
    endpoint.answers(() => ({
      status: 429, body: '{"x": 1}', headers: { 'Retry-After': '7', 'Content-Type': 'application/json', 'X-Twice': ['one', 'two'] },
    }))
    const row = await responseTo(await post())
    expect(row).toMatchObject({
      status_code: 429, content_type: 'application/json', content: '{"x": 1}', timed_out: false, error_msg: null,
      headers: { 'Retry-After': '7', 'Content-Type': 'application/json', 'X-Twice': 'two' },
    })
  })

  test('the body is the text of the jsonb value, with Content-Type and the agent', async () => {
    await responseTo(await post('/here?x=1', { headers: { 'X-Number': 5, 'X-Null': null, 'X-Empty': '' } }))
    const [request] = endpoint.received
    expect(request).toMatchObject({ method: 'POST', path: '/here?x=1', body: '{"a": [2], "b": 1}' })
    expect(request!.headers).toMatchObject({ 'content-type': 'application/json', 'x-number': '5', 'x-empty': '' })
    expect(request!.headers['user-agent']).toMatch(/^pg_net\//)
    expect(request!.headers).not.toHaveProperty('x-null')
  })

  test('parameters of a GET are encoded and appended', async () => {
    const [row] = await sql<[{ id: number }]>`
      SELECT net.http_get(url => ${endpoint.url('/get?x=1')}, params => '{"job": "ä b&{}"}') AS id`
    await responseTo(row.id)
    expect(endpoint.received[0]).toMatchObject({ method: 'GET', path: '/get?x=1&job=%C3%A4%20b%26%7B%7D', body: '' })
  })

  test('an empty body is null, a zero byte ends it, and bytes that are not UTF-8 stay', async () => {
    expect(await responseTo(await post())).toMatchObject({ status_code: 200, content: null })
    endpoint.answers(() => ({ body: 'one\0two' }))
    expect(await responseTo(await post())).toMatchObject({ content: 'one' })
    endpoint.answers(() => ({ body: Buffer.from([0x61, 0xff, 0xfe, 0x62]) }))
    const id = await post()
    await until(async () => (await sql`SELECT FROM net._http_response AS r WHERE r.id = ${id}`).length === 1)
    const [bytes] = await sql<[{ hex: string; length: number }]>`
      SELECT encode(textsend(r.content), 'hex') AS hex, length(r.content) FROM net._http_response AS r WHERE r.id = ${id}`
    expect(bytes.hex).toBe('61fffe62')
    const reads = sql`SELECT convert_to(r.content, 'UTF8') FROM net._http_response AS r WHERE r.id = ${id}`
    expect(await refusal(reads)).toBe('22021')
    await sql`DELETE FROM net._http_response AS r WHERE r.id = ${id}`
  })

  test('what has no answer has no status, and says why', async () => {
    endpoint.answers(({ path }) => (path === '/hang' ? { delay: Infinity } : { is_cut: true }))
    const hangs = await post('/hang', { timeout: 300 })
    const cut = await post('/cut')
    const ask = async (url: string): Promise<number> =>
      (await sql<[{ id: number }]>`SELECT net.http_post(url => ${url}) AS id`)[0].id
    const refused = await ask('http://127.0.0.1:9/')
    const unknown = await ask('http://nowhere.invalid/')
    const ftp = await ask('ftp://127.0.0.1/')
    expect(await responseTo(hangs)).toMatchObject({ ...no_answer, timed_out, error_msg: expect.stringMatching(/^Timeout of 300 ms reached/) })
    const not_timed_out = era === 'C' ? false : null
    for (const [id, error_msg] of [
      [cut, 'Server returned nothing (no headers, no data)'], [refused, "Couldn't connect to server"],
      [unknown, "Couldn't resolve host name"], [ftp, 'Unsupported protocol'],
    ] as const) {
      expect(await responseTo(id)).toMatchObject({ ...no_answer, timed_out: not_timed_out, error_msg })
    }
  })

  test('redirects are followed: a POST as a GET, with the headers of the first hop', async () => {
    await using other = await startEndpoint(() => ({ status: 200, body: 'there', headers: { 'X-Hop': 'second' } }))
    const headers = { Authorization: 'Bearer t', 'webhook-signature': 's' }
    for (const status of [302, 307]) {
      endpoint.answers(() => ({ status, headers: { Location: other.url('/there'), 'X-Hop': 'first' } }))
      const row = await responseTo(await post('/', { headers }))
      expect(row).toMatchObject({ status_code: 200, content: 'there', headers: { Location: other.url('/there'), 'X-Hop': 'first' } })
    }
    const [as_get, as_post] = other.received as [Received, Received]
    expect(as_get).toMatchObject({ method: 'GET', body: '' })
    expect(as_post).toMatchObject({ method: 'POST', body: '{"a": [2], "b": 1}' })
    for (const hop of [as_get, as_post]) {
      expect(hop.headers).not.toHaveProperty('authorization')
      expect(hop.headers['webhook-signature']).toBe('s')
    }
    endpoint.answers(() => ({ status: 302, headers: { Location: endpoint.url() } }))
    expect(await responseTo(await post())).toMatchObject({ ...no_answer, error_msg: 'Number of redirects hit maximum amount' })
  })

  test('bad arguments are refused in the call', async () => {
    const call = (text: string): Promise<unknown> => sql.unsafe(`SELECT net.http_post(${text})`)
    await expect(call(`url => 'http://h/', headers => '{"content-type": "application/json; charset=utf-8"}'`))
      .rejects.toThrow('Content-Type header must be "application/json"')
    await expect(call(`url => 'gibberish'`)).rejects.toThrow('Bad scheme')
    await expect(call(`url => 'xyz://h/'`)).rejects.toThrow('Unsupported URL scheme')
    await expect(call(`url => 'http://h/', body => NULL`)).rejects.toThrow('body must not be null')
    await expect(call(`url => NULL, headers => '{"authorization": "Bearer t"}'`))
      .rejects.toMatchObject({ code: '23502', detail: expect.stringContaining('Bearer t') })
    await expect(call(`url => 'http://h/', timeout_milliseconds => NULL`)).rejects.toMatchObject({ code: '23502' })
  })

  test('a rollback sends nothing, and takes the ids with it', async () => {
    const before = await post()
    await sql`BEGIN`
    await post()
    await sql`ROLLBACK`
    await sql`BEGIN`
    await sql`SAVEPOINT one`
    await post()
    await sql`ROLLBACK TO SAVEPOINT one`
    const after = await post()
    expect(await waiting()).toBeGreaterThan(0)
    await sql`COMMIT`
    await responseTo(after)
    expect(after).toBe(before + 3)
    expect(endpoint.received).toHaveLength(2)
  })

  test('nothing is sent before the commit', async () => {
    await sql`BEGIN`
    const id = await post()
    await sleep(1300)
    expect(endpoint.received).toHaveLength(0)
    await sql`COMMIT`
    await responseTo(id)
  })

  test('answers older than the time to live are deleted', async () => {
    await sql`INSERT INTO net._http_response (id, created) VALUES (-1, now() - interval '7 hours'), (-2, now() - interval '5 hours')`
    await responseTo(await post())
    await until(async () => !(await responses()).some(({ id }) => id === -1))
    expect((await responses()).some(({ id }) => id === -2)).toBe(true)
  })

  test('batches are made by id, each waits for its slowest request', async () => {
    await sql`DELETE FROM net._http_response`
    endpoint.answers(({ path }) => (path === '/slow' ? { delay: 1500 } : {}))
    await sql`BEGIN`
    const slow = await post('/slow')
    for (let n = 1; n < BATCH + 2; n++) await post(`/${n}`)
    await sql`COMMIT`
    await until(() => endpoint.received.length >= BATCH)
    const began = Date.now()
    await sleep(700)
    expect(endpoint.received, 'the next batch waits').toHaveLength(BATCH)
    expect(new Set(endpoint.received.map(({ path }) => path)).has(`/${BATCH}`)).toBe(false)
    if (era === 'B') {
      expect(await waiting(), 'the requests of the batch are gone from the queue').toBe(2)
      expect(await responses(), 'answers appear one by one').toHaveLength(BATCH - 1)
    } else {
      expect(await waiting(), 'the requests of the batch are still seen').toBe(BATCH + 2)
      expect(await responses(), 'answers appear at the end of the batch').toHaveLength(0)
    }
    await responseTo(slow)
    await until(() => endpoint.received.length === BATCH + 2)
    expect(Date.now() - began, 'a second between batches').toBeGreaterThan(1500 + 900)
  })

  test('only a function wakes the worker', async () => {
    await sleep(2200) // Until it sleeps.
    await sql`INSERT INTO net.http_request_queue (method, url, headers, timeout_milliseconds) VALUES ('GET', ${endpoint.url('/plain')}, '{}', 1000)`
    await sleep(1500)
    const by_poll = era === 'C' ? [] : ['/plain']
    expect(endpoint.received.map(({ path }) => path)).toEqual(by_poll)
    await responseTo(await post('/woken'))
    expect(endpoint.received).toHaveLength(2)
  })

  test('an error in a batch sends it again, or loses it', async () => {
    await sql`DELETE FROM net._http_response`
    endpoint.answers(({ path }) => (path === '/slow' ? { delay: 2000 } : {}))
    const ids = await sql.begin(async () => [] as number[])
    await sql`BEGIN`
    ids.push(await post('/slow'), await post('/quick'))
    await sql`COMMIT`
    await until(() => endpoint.received.length === 2)
    await sleep(200)
    await worker.fail()
    await worker.isBack()
    if (era === 'B') {
      await sleep(2500)
      expect(endpoint.received).toHaveLength(2)
      expect((await responses()).map(({ id }) => id)).toEqual([ids[1]])
      expect(await waiting()).toBe(0)
    } else {
      await responseTo(ids[0]!)
      expect(endpoint.received.map(({ path }) => path).sort()).toEqual(['/quick', '/quick', '/slow', '/slow'])
      expect((await responses()).map(({ id }) => id)).toEqual(ids)
    }
  })

  test('a restart that is asked for waits for the batch', async () => {
    endpoint.answers(() => ({ delay: 500 }))
    const id = await post()
    await until(() => endpoint.received.length === 1)
    const back = worker.isBack()
    await sql`SELECT net.worker_restart()`
    await back
    await responseTo(id)
    expect(endpoint.received).toHaveLength(1)
  })

  test('whoever wants to knows whether the worker is up', async () => {
    await sql`SELECT net.check_worker_is_up()`
    await worker.kill()
    await until(async () => (await sql`SELECT FROM pg_stat_activity AS a WHERE a.application_name LIKE 'pg_net%'`).length === 0)
    await expect(sql`SELECT net.check_worker_is_up()`).rejects.toThrow('the pg_net background worker is not up')
    worker = await startPgNet(cluster.url, era)
  })

  test('everybody may read and write its tables, but not in the first era', async () => {
    const [row] = await sql<[{ may: boolean; owner: boolean }]>`
      SELECT bool_and(has_table_privilege('pg_read_all_stats', c.oid, p.privilege)) AS may,
             (SELECT prosecdef FROM pg_proc WHERE proname = 'http_post') AS owner
      FROM pg_class AS c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
      WHERE c.relnamespace = 'net'::regnamespace AND c.relkind = 'r'`
    expect(row).toEqual({ may: era !== 'A', owner: era === 'A' })
  })

  test('a crash of the server empties both tables, and begins ids anew', async () => {
    const first = await post()
    expect(first).toBeGreaterThan(1)
    await responseTo(first)
    endpoint.answers(() => ({ delay: 3000 }))
    const last = await post()
    await until(() => endpoint.received.length === 2)
    await cluster.kill9()
    const back = worker.isBack()
    await cluster.start()
    await back
    sql = openSession(cluster.url)
    expect([await waiting(), (await responses()).length]).toEqual([0, 0])
    const [{ version }] = await sql<[{ version: number }]>`SELECT current_setting('server_version_num')::integer AS version`
    endpoint.answers(() => ({}))
    // (Sequences are not logged from version 15 on; a logged one skips some after a crash.)
    const next = await post()
    expect(version >= 150000 ? next === 1 : next > last).toBe(true)
  })

  test('where the library is not loaded each call says so', async () => {
    await using bare = await startCluster()
    installPgNet(bare, 'postgres', era)
    const session = openSession(bare.url)
    await expect(session`SELECT net.http_get('http://127.0.0.1/')`).rejects.toThrow('pg_net is not in shared_preload_libraries')
    await session.end()
  })
}
