/** The native dispatcher when the server, or pg_net's worker, dies: jobs are sent again, and an answer finds its own job. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { installPgNet, startPgNet } from '../support/pg_net/start.ts'
import type { Era } from '../support/pg_net/eras.ts'
import type { Received } from './endpoint.ts'
import { startStage, type Stage } from './stage.ts'
import { until } from './until.ts'

const JSON_TYPE = { 'Content-Type': 'application/json' }
/** An answer that tells whose it is. */
const echo = ({ body }: Received): { headers: Record<string, string>; body: string } => {
  const { job_id, attempt } = JSON.parse(body)
  return { headers: JSON_TYPE, body: JSON.stringify({ job_id, attempt }) }
}

let stage: Stage
/** Seconds that an endpoint of this path waits. */
const delays = new Map<string, number>()

function onStage(era: Era, settings: Readonly<Record<string, string>> = {}): void {
  beforeAll(async () => {
    stage = await startStage({ era, settings })
    stage.endpoint.answers((received) => ({ ...echo(received), delay: delays.get(received.path) ?? 0 }))
  })
  afterAll(() => stage?.[Symbol.asyncDispose]())
  beforeEach(() => {
    stage.endpoint.received.length = 0
    delays.clear()
  })
}

const isComplete = (job_id: number) => async (): Promise<boolean> => (await stage.job(job_id)).state === 'complete'
const sentTo = (path: string): Received[] => stage.endpoint.received.filter((one) => one.path === path)
/** Makes all requests under way so many seconds older. */
async function age(seconds: number): Promise<void> {
  await stage.sql`
    UPDATE pgq.native_request AS n SET
        sent_at = n.sent_at - ${seconds} * interval '1 second', seen_at = n.seen_at - ${seconds} * interval '1 second'`
}
const waiting = async (): Promise<number> => (await stage.sql`SELECT FROM net.http_request_queue`).length
const answered = async (): Promise<number> => (await stage.sql`SELECT FROM net._http_response`).length

describe.each(['A', 'B', 'C'] as const)('in era %s', (era) => {
  onStage(era)

  test('a crash of the server between claim and answer has the jobs sent again at once', async () => {
    delays.set('/before', Infinity)
    const jobs = [await stage.add('before', 1), await stage.add('before', 2)]
    await stage.dispatchUntil(() => sentTo('/before').length === 2)
    await sleep(500) // Until the pick, which need not be durable, is on the disk.
    await stage.crash()
    expect((await stage.job(jobs[0]!)).state).toBe('running')
    delays.clear()
    for (const job_id of jobs) await stage.dispatchUntil(isComplete(job_id))
    for (const job_id of jobs) {
      const job = await stage.job(job_id)
      expect(job).toMatchObject({ attempt: 2, output: { job_id, attempt: 2 } })
      expect(job.attempts?.[0]).toMatchObject({ outcome: 'failed', error: expect.stringMatching(/lost/) })
    }
    expect(sentTo('/before')).toHaveLength(4)
    expect((await stage.sql`SELECT FROM pgq.request`)).toHaveLength(0)
  })

  test('a crash after the answer, before it is taken, has the job sent again', async () => {
    // So that the dispatcher is gone before the answer is there.
    delays.set('/after', 1000)
    const job_id = await stage.add('after')
    await stage.dispatchUntil(() => waiting().then((n) => n === 1))
    await until(async () => (await answered()) === 1)
    delays.clear()
    await sleep(500)
    await stage.crash()
    expect(await answered()).toBe(0)
    await stage.dispatchUntil(isComplete(job_id))
    expect(await stage.job(job_id)).toMatchObject({ attempt: 2, output: { job_id, attempt: 2 } })
  })

  test('a crash gives ids anew, and no answer to the wrong job', async () => {
    delays.set('/first', Infinity)
    const first = await stage.add('first')
    await stage.dispatchUntil(() => sentTo('/first').length === 1)
    const [before] = await stage.sql<[{ id: number }]>`SELECT max(n.request_id) AS id FROM pgq.native_request AS n`
    await sleep(500)
    await stage.crash()
    // Who comes first now gets the ids that others had.
    delays.set('/second', 1500)
    const others = [await stage.add('second', 1), await stage.add('second', 2), await stage.add('second', 3)]
    await stage.sql`SELECT pgq.pause_queue('first')`
    const dispatcher = stage.dispatch()
    await until(() => sentTo('/second').length === 3)
    const ids = await stage.sql<{ request_id: number }[]>`SELECT n.request_id FROM pgq.native_request AS n`
    if ((await version()) >= 150000) expect(Math.min(...ids.map((row) => row.request_id))).toBeLessThanOrEqual(before.id)
    delays.clear()
    await stage.sql`SELECT pgq.resume_queue('first')`
    for (const job_id of [first, ...others]) {
      await until(isComplete(job_id))
      expect((await stage.job(job_id)).output).toMatchObject({ job_id })
    }
    await dispatcher.cancel()
  })

  test(era === 'B' ? 'an error of the worker loses the batch, which is sent again when its time is over' : 'an error of the worker sends the batch again, as the same attempt', async () => {
    delays.set('/error', 1500)
    const job_id = await stage.add('error')
    const dispatcher = stage.dispatch()
    await until(() => sentTo('/error').length === 1)
    await sleep(100)
    await stage.net.fail()
    await stage.net.isBack()
    if (era === 'B') {
      await sleep(2000)
      expect((await stage.job(job_id)).state).toBe('running')
      await age(60)
    }
    await until(isComplete(job_id))
    expect(await stage.job(job_id)).toMatchObject({ attempt: era === 'B' ? 2 : 1 })
    expect(sentTo('/error')).toHaveLength(2)
    await dispatcher.cancel()
  })
})

const version = async (): Promise<number> =>
  (await stage.sql<[{ version: number }]>`SELECT current_setting('server_version_num')::integer AS version`)[0].version

describe('a crash that may take the pick with it', () => {
  onStage('C', { wal_writer_delay: '10s' })

  test('has the job sent again, as the same attempt if it did', async () => {
    delays.set('/lost-pick', Infinity)
    const job_id = await stage.add('lost-pick')
    await stage.dispatchUntil(() => sentTo('/lost-pick').length === 1)
    await stage.crash()
    const { attempt: noted } = await stage.job(job_id)
    delays.clear()
    await stage.dispatchUntil(isComplete(job_id))
    expect(await stage.job(job_id)).toMatchObject({ attempt: noted + 1, output: { job_id, attempt: noted + 1 } })
    expect(sentTo('/lost-pick')).toHaveLength(2)
  })
})

describe('pg_net', () => {
  onStage('C')

  test('a request that makes the worker fail is given up after three times, and keeps no other waiting any longer', async () => {
    delays.set('/poison', Infinity)
    const poison = await stage.add('poison')
    await stage.dispatchUntil(() => sentTo('/poison').length === 1)
    for (let time = 1; time <= 4; time++) {
      await until(() => sentTo('/poison').length === time)
      await age(10)
      await stage.sql`SELECT pgq._native_sweep()`
      await stage.net.fail()
      if (time < 4) await stage.net.isBack()
    }
    // Nobody sends it for a second now.
    await stage.sql`SELECT pgq._native_sweep()`
    expect(await waiting()).toBe(0)
    const job = await stage.job(poison)
    expect(job).toMatchObject({ state: 'scheduled', attempt: 1 })
    expect(job.attempts?.[0]).toMatchObject({ error: expect.stringMatching(/the worker of pg_net fails while it sends it/) })
    const other = await stage.add('healthy')
    await stage.dispatchUntil(isComplete(other))
  })

  test('dropped and made anew begins its ids anew: what it had is sent again, and no answer goes wrong', async () => {
    delays.set('/dropped', Infinity)
    const lost = await stage.add('dropped')
    await stage.dispatchUntil(() => sentTo('/dropped').length === 1)
    await stage.net.kill()
    await stage.sql`DROP SCHEMA net CASCADE`
    const [health] = await stage.sql`SELECT h.problems FROM pgq.native_health() AS h`
    expect(health!['problems']).toContain('pg_net is not installed in this database')
    installPgNet(stage.cluster, 'postgres')
    await using net = await startPgNet(stage.cluster.url)
    void net
    delays.clear()
    const other = await stage.add('other')
    for (const job_id of [lost, other]) await stage.dispatchUntil(isComplete(job_id))
    expect(await stage.job(lost)).toMatchObject({ attempt: 2, output: { job_id: lost, attempt: 2 } })
    expect(await stage.job(other)).toMatchObject({ attempt: 1, output: { job_id: other, attempt: 1 } })
    await net.kill()
  })

  test('emptied by hand: an id that is given out again is the new job\'s', async () => {
    await using net = await startPgNet(stage.cluster.url)
    delays.set('/emptied', Infinity)
    const lost = await stage.add('emptied')
    await stage.dispatchUntil(() => sentTo('/emptied').length === 1)
    await net.kill()
    await stage.sql`TRUNCATE net.http_request_queue, net._http_response RESTART IDENTITY`
    await using again = await startPgNet(stage.cluster.url)
    void again
    delays.clear()
    const others = [await stage.add('new', 1), await stage.add('new', 2), await stage.add('new', 3), await stage.add('new', 4)]
    for (const job_id of others) await stage.dispatchUntil(isComplete(job_id))
    for (const job_id of others) expect(await stage.job(job_id)).toMatchObject({ attempt: 1, output: { job_id, attempt: 1 } })
    await age(60)
    await stage.dispatchUntil(isComplete(lost))
    expect(await stage.job(lost)).toMatchObject({ attempt: 2, output: { job_id: lost, attempt: 2 } })
  })
})
