/** The native dispatcher beside everything that can go wrong without a crash: what is lost, late, slow, or not there. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startPgNet } from '../support/pg_net/start.ts'
import { openSession } from '../support/session.ts'
import type { Answer, Received } from './endpoint.ts'
import { installPgq, startStage, type Stage } from './stage.ts'
import { until } from './until.ts'

const JSON_TYPE = { 'Content-Type': 'application/json' }
const BATCH = 5

let stage: Stage
const answers = new Map<string, (received: Received) => Answer>()

function onStage(options: Parameters<typeof startStage>[0] = {}): void {
  beforeAll(async () => {
    stage = await startStage({ batch_size: BATCH, ...options })
    stage.endpoint.answers((received) => answers.get(received.path)?.(received) ?? {
      headers: JSON_TYPE, body: received.method === 'GET' ? 'true' : JSON.stringify({ attempt: JSON.parse(received.body).attempt }),
    })
  })
  afterAll(() => stage?.[Symbol.asyncDispose]())
  beforeEach(() => {
    stage.endpoint.received.length = 0
    answers.clear()
  })
}

const isComplete = (job_id: number) => async (): Promise<boolean> => (await stage.job(job_id)).state === 'complete'
const sentTo = (path: string): Received[] => stage.endpoint.received.filter((one) => one.path === path)
const waiting = async (): Promise<number> => (await stage.sql`SELECT FROM net.http_request_queue`).length
const problems = async (): Promise<string[]> => (await stage.sql<[{ problems: string[] }]>`SELECT h.problems FROM pgq.native_health() AS h`)[0].problems
async function age(seconds: number): Promise<void> {
  await stage.sql`
    UPDATE pgq.native_request AS n SET
        sent_at = n.sent_at - ${seconds} * interval '1 second', seen_at = n.seen_at - ${seconds} * interval '1 second'`
}

describe.each(['A', 'B', 'C'] as const)('in era %s', (era) => {
  onStage({ era })

  test('an aborted claim leaves neither claim nor request', async () => {
    const job_id = await stage.add('aborted')
    await stage.sql`BEGIN`
    expect(await stage.sql`SELECT pgq._native_claim(true) AS claimed`).toEqual([{ claimed: 1 }])
    await stage.sql`ROLLBACK`
    expect(await stage.job(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
    await sleep(1500)
    expect(sentTo('/aborted')).toHaveLength(0)
    await stage.dispatchUntil(isComplete(job_id))
    expect(sentTo('/aborted')).toHaveLength(1)
  })

  test('an answer that somebody deletes looks lost, and the job is sent again', async () => {
    const job_id = await stage.add('deleted')
    await stage.dispatchUntil(async () => (await stage.sql`SELECT FROM pgq.native_request`).length === 1)
    await until(async () => (await stage.sql`DELETE FROM net._http_response AS r RETURNING r.id`).length === 1)
    await stage.sql`SELECT pgq._native_sweep()`
    expect((await stage.job(job_id)).state).toBe('running')
    await age(60)
    await stage.dispatchUntil(isComplete(job_id))
    expect(await stage.job(job_id)).toMatchObject({ attempt: 2, output: { attempt: 2 } })
  })

  test('the late answer of an attempt that was given up is ignored', async () => {
    answers.set('/late', ({ body }) => {
      const { attempt } = JSON.parse(body)
      return { delay: attempt === 1 ? 2500 : 0, headers: JSON_TYPE, body: JSON.stringify({ attempt }) }
    })
    await stage.setEndpoint('late', { timeout_milliseconds: 5000 })
    await stage.sql`SELECT FROM pgq.set_queue_config('late', pause_between_retries_milliseconds => 0)`
    const job_id = await stage.add('late')
    const dispatcher = stage.dispatch()
    await until(() => sentTo('/late').length === 1)
    await stage.sql`UPDATE pgq.job AS j SET lease_until = clock_timestamp() WHERE j.job_id = ${job_id}`
    await until(async () => (await stage.job(job_id)).attempt === 2)
    await until(isComplete(job_id))
    expect((await stage.job(job_id)).output).toEqual({ attempt: 2 })
    // Both answers are taken: the late one before, in the same batch, or after.
    await until(async () => (await stage.sql`SELECT FROM pgq.native_request`).length === 0)
    expect(await stage.job(job_id)).toMatchObject({ state: 'complete', attempt: 2, output: { attempt: 2 } })
    expect(sentTo('/late')).toHaveLength(2)
    await dispatcher.cancel()
  })

  test('a dispatcher that is cancelled leaves its requests to the next', async () => {
    answers.set('/cancelled', () => ({ delay: 1000 }))
    const job_id = await stage.add('cancelled')
    await stage.dispatchUntil(() => sentTo('/cancelled').length === 1)
    expect((await stage.job(job_id)).state).toBe('running')
    await stage.dispatchUntil(isComplete(job_id))
    expect(await stage.job(job_id)).toMatchObject({ attempt: 1 })
    expect(sentTo('/cancelled')).toHaveLength(1)
  })

  test('no more requests are handed over than two batches', async () => {
    answers.set('/many', () => ({ delay: 300 }))
    await stage.setEndpoint('many', { max_in_flight: 1000 })
    for (let n = 0; n < 4 * BATCH; n++) await stage.add('many', n)
    let most = 0
    await stage.dispatchUntil(async () => {
      most = Math.max(most, (await stage.sql`SELECT FROM pgq.native_request`).length)
      return (await stage.sql`SELECT FROM pgq.list_jobs('many', 'complete') AS j`).length === 4 * BATCH
    })
    expect(most).toBe(2 * BATCH)
    expect(sentTo('/many')).toHaveLength(4 * BATCH)
  })
})

describe('in the last era', () => {
  onStage()

  describe('the dispatcher', () => {
    test('returns at once while another runs, and takes over when that has ended', async () => {
      const first = stage.dispatch()
      await until(async () => (await stage.sql`SELECT FROM pgq.native_epoch`).length === 1)
      const second = stage.dispatch()
      // (Which is the second, unless it came just between two turns of the first.)
      await Promise.race([first.ended, second.ended])
      await until(async () => (await stage.sql`SELECT FROM pg_stat_activity AS a WHERE a.application_name = 'native dispatcher'`).length === 1)
      await Promise.all([first.cancel(), second.cancel()])
      const job_id = await stage.add('after-the-first')
      await stage.dispatchUntil(isComplete(job_id))
    })

    test('twice at once sends each job once', async () => {
      await stage.setEndpoint('crowd', { max_in_flight: 100 })
      for (let n = 0; n < 6 * BATCH; n++) await stage.add('crowd', n)
      // A turn takes the lock for itself only: here turns of many sessions follow each other as they like.
      const sessions = Array.from({ length: 4 }, () => openSession(stage.cluster.url))
      const isDone = async (): Promise<boolean> => (await stage.sql`SELECT FROM pgq.list_jobs('crowd', 'complete') AS j`).length === 6 * BATCH
      await Promise.all(sessions.map(async (session) => {
        while (!(await isDone())) {
          await session`SELECT pgq._native_claim(true)`
          await session`SELECT pgq._native_reap()`
          await session`SELECT pgq._native_sweep()`
        }
        await session.end()
      }))
      expect(sentTo('/crowd')).toHaveLength(6 * BATCH)
      expect(new Set(sentTo('/crowd').map(({ body }) => JSON.parse(body).job_id)).size).toBe(6 * BATCH)
    })

    test('ends before statement_timeout ends it', async () => {
      const session = openSession(stage.cluster.url, { settings: { statement_timeout: '3s' } })
      const began = performance.now()
      await session.unsafe('CALL pgq.run_native_dispatcher(60)').simple()
      expect(performance.now() - began).toBeGreaterThan(1500)
      expect(performance.now() - began).toBeLessThan(3000)
      await session.end()
    })

    test('without a time ends before the minute does', async () => {
      const session = openSession(stage.cluster.url, { settings: { statement_timeout: '100s' } })
      const [turn] = await session<[{ seconds: number; ends_at: Date }]>`
        SELECT t.ends_at, EXTRACT(epoch FROM t.ends_at - t.started_at)::float AS seconds FROM pgq._native_begin(NULL) AS t`
      expect(turn.ends_at.getSeconds()).toBe(59)
      expect(turn.seconds).toBeGreaterThan(1)
      expect(turn.seconds).toBeLessThanOrEqual(61)
      await session.end()
    })

    test('goes on with the other steps when one fails, and tells which and how', async () => {
      const done = await stage.add('before-the-fault')
      await stage.dispatchUntil(() => sentTo('/before-the-fault').length === 1)
      const waits = await stage.add('fault')
      const [{ source }] = await stage.sql<[{ source: string }]>`SELECT pg_get_functiondef('net._encode_url_with_params_array'::regproc) AS source`
      /** Every call of pg_net passes here. */
      const netRaises = (condition: string, sqlstate: string): Promise<unknown> => stage.sql.unsafe(source.replace(
        /BEGIN\n/, `BEGIN IF ${condition} THEN RAISE EXCEPTION 'Failing row contains %', url USING ERRCODE = '${sqlstate}'; END IF;\n`))
      try {
        await netRaises('true', '42501')
        await stage.dispatchUntil(async () => (await problems()).some((one) => one === 'a step failed (claim: SQLSTATE 42501)'))
        await stage.dispatchUntil(isComplete(done))
        expect(await stage.job(waits)).toMatchObject({ state: 'ready', attempt: 0 })

        // What is wrong with one endpoint holds that one only.
        await netRaises(`url LIKE '%/fault'`, 'XX000')
        const other = await stage.add('no-fault')
        await stage.dispatchUntil(isComplete(other))
        expect(await stage.job(waits)).toMatchObject({ state: 'ready', attempt: 0 })
        const [status] = await stage.sql`SELECT s.hold_reason FROM pgq.endpoint_status('fault') AS s`
        expect(status).toEqual({ hold_reason: 'pg_net refuses its requests (SQLSTATE XX000)' })
      } finally {
        await stage.sql.unsafe(source)
      }
    })

    test('takes the other answers when one cannot be read', async () => {
      answers.set('/unreadable', () => ({ body: '1' }))
      const bad = await stage.add('unreadable')
      const good = await stage.add('readable')
      await stage.dispatchUntil(async () => (await stage.sql`SELECT FROM pgq.native_request`).length === 2)
      await until(async () => (await stage.sql`SELECT FROM net._http_response`).length === 2)
      await stage.sql`
        UPDATE net._http_response AS r SET headers = '{"content-type": 7}', status_code = NULL, error_msg = 'Timeout'
        WHERE r.id = (SELECT n.request_id FROM pgq.native_request AS n WHERE n.job_id = ${bad})`
      const [{ source }] = await stage.sql<[{ source: string }]>`SELECT pg_get_functiondef('pgq._native_answer'::regproc) AS source`
      await stage.sql.unsafe(source.replace(/BEGIN\n/, "BEGIN\nIF error_msg = 'Timeout' THEN RAISE division_by_zero; END IF;\n"))
      await stage.dispatchUntil(isComplete(good))
      await until(async () => (await stage.job(bad)).state === 'scheduled')
      expect((await stage.job(bad)).attempts?.[0]?.error).toBe('no answer: the answer cannot be read (SQLSTATE 22012)')
      await stage.sql.unsafe(source)
    })

    test('waits while others have filled the queue of pg_net', async () => {
      stage.net.pause()
      await stage.sql`
        INSERT INTO net.http_request_queue (method, url, headers, timeout_milliseconds)
        SELECT 'GET', ${stage.endpoint.url('/foreign')}, '{}', 1000 FROM generate_series(1, ${4 * BATCH})`
      const job_id = await stage.add('patient')
      const dispatcher = stage.dispatch()
      await sleep(1500)
      expect(await stage.job(job_id)).toMatchObject({ state: 'ready' })
      stage.net.resume()
      await stage.sql`SELECT net.wake()`
      await until(isComplete(job_id))
      await dispatcher.cancel()
    })

    test('does not serve a time-out above a minute, and says so', async () => {
      await stage.setEndpoint('long', { timeout_milliseconds: 60001 })
      const job_id = await stage.add('long')
      const other = await stage.add('short')
      await stage.dispatchUntil(isComplete(other))
      expect(await stage.job(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
      expect(await problems()).toContain('pg_net serves no timeout above 60000 milliseconds, as have the endpoints of "long"')
      await stage.setEndpoint('long', { timeout_milliseconds: 60000 })
      await stage.dispatchUntil(isComplete(job_id))
    })

    test('keeps only the endpoint that hangs waiting longer than its time-out', async () => {
      answers.set('/hangs', () => ({ delay: Infinity }))
      await stage.setEndpoint('hangs', { timeout_milliseconds: 1000 })
      for (let n = 0; n < 3; n++) await stage.add('hangs', n)
      const others = await Promise.all(Array.from({ length: 10 }, (_, n) => stage.add('healthy', n)))
      await stage.dispatchUntil(async () => (await stage.sql`SELECT FROM pgq.list_jobs('healthy', 'complete') AS j`).length === others.length, 15)
      await stage.dispatchUntil(async () => (await stage.sql`SELECT FROM pgq.list_jobs('hangs', 'scheduled') AS j`).length === 3)
    })
  })

  describe("pg_net's worker", () => {
    test('is slow: what waits keeps its lease, and is sent once', async () => {
      const job_id = await stage.add('slow')
      stage.net.pause()
      const dispatcher = stage.dispatch()
      await until(async () => (await waiting()) === 1)
      const before = (await stage.job(job_id)).lease_until!
      await sleep(1000)
      await age(20)
      await until(async () => (await stage.job(job_id)).lease_until! > before)
      stage.net.resume()
      await until(isComplete(job_id))
      expect(await stage.job(job_id)).toMatchObject({ attempt: 1 })
      expect(sentTo('/slow')).toHaveLength(1)
      await dispatcher.cancel()
    })

    test('is slow: a job that is cancelled meanwhile is never sent', async () => {
      const job_id = await stage.add('cancel')
      stage.net.pause()
      const dispatcher = stage.dispatch()
      await until(async () => (await waiting()) === 1)
      await stage.sql`SELECT pgq.cancel_job(${job_id})`
      await age(20)
      await until(async () => (await waiting()) === 0)
      stage.net.resume()
      await dispatcher.cancel()
      await sleep(1200)
      expect(sentTo('/cancel')).toHaveLength(0)
      expect(await stage.sql`SELECT FROM pgq.request`).toHaveLength(0)
    })

    test('is down: that is told, nothing more is handed over, and what waits goes back and loses no attempt', async () => {
      stage.net.pause()
      const job_id = await stage.add('down')
      const dispatcher = stage.dispatch()
      await until(async () => (await waiting()) === 1)
      await stage.net.kill()
      await until(async () => (await problems()).includes('the worker of pg_net is not running'))
      await age(70)
      await until(async () => (await stage.job(job_id)).state === 'ready')
      expect(await waiting()).toBe(0)
      await sleep(1500)
      expect(await stage.job(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
      await using net = await startPgNet(stage.cluster.url)
      void net
      await until(isComplete(job_id))
      expect(await stage.job(job_id)).toMatchObject({ attempt: 1 })
      await dispatcher.cancel()
    })
  })
})

describe('an installation of an ordinary role', () => {
  onStage()

  test('dispatches, although it can neither delete answers, take requests back, nor see whose processes there are', async () => {
    stage.cluster.psql('CREATE ROLE app LOGIN; CREATE DATABASE app OWNER app')
    stage.cluster.psql('CREATE SCHEMA mine AUTHORIZATION app; REVOKE DELETE, TRUNCATE ON net._http_response FROM PUBLIC; DROP SCHEMA pgq CASCADE')
    stage.cluster.psql('REVOKE UPDATE, DELETE, TRUNCATE ON net.http_request_queue FROM PUBLIC; GRANT CREATE ON DATABASE postgres TO app')
    installPgq(stage.cluster, 'postgres', 'app')
    const app = openSession(stage.cluster.url.replace('postgres://postgres@', 'postgres://app@'))
    await app`SELECT FROM pgq.set_endpoint('app', ${stage.endpoint.url('/app')}, is_insecure_allowed => true)`
    const [{ job_id }] = await app<[{ job_id: number }]>`SELECT a.job_id FROM pgq.add_job('app', '1') AS a`
    await app.unsafe('CALL pgq.run_native_dispatcher(3)').simple()
    const [job] = await app`SELECT j.state, j.output FROM pgq.get_job(${job_id}) AS j`
    expect(job).toEqual({ state: 'complete', output: { attempt: 1 } })
    const [health] = await app<[{ problems: string[] }]>`SELECT h.problems FROM pgq.native_health() AS h`
    expect(health.problems).toEqual([])
    expect(await app`SELECT FROM net._http_response`).toHaveLength(1)
    expect(await app`SELECT pgq._native_withdraw(ARRAY[1]) AS withdrawn`).toEqual([{ withdrawn: [] }])
    await app.end()
  })
})

describe('pg_net in another database', () => {
  onStage({ pg_net_database: 'elsewhere' })

  test('is told, and gets nothing', async () => {
    const job_id = await stage.add('elsewhere')
    await stage.sql.unsafe('CALL pgq.run_native_dispatcher(2)').simple()
    expect(await stage.job(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
    expect(await waiting()).toBe(0)
    expect(await problems()).toEqual(['pg_net works in database "elsewhere" (pg_net.database_name), not in this one'])
  })
})
