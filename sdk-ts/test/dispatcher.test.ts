import { setTimeout as sleep } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import { expect, test } from 'vitest'
import { toPgqError } from '../src/errors.ts'
import { Dispatcher, fromPglite, PgqError, PgQueue, PgQueueConfig, startDispatcher } from '../src/index.ts'
import { dispatch, jobOf, newEndpointQueue, startServer } from './http-support.ts'
import { DATABASE_URL, errorOf, installPlain, latch, openDb, queueName, until } from './support.ts'

const db = openDb()
const numbers = (count: number): { n: number }[] => Array.from({ length: count }, (_, n) => ({ n }))

test('a job is sent as it was added, with all that is known of it', async () => {
  const server = await startServer((_request, response) => void response.end())
  const queue = await newEndpointQueue<{ n: number; text: string }>(db, `${server.url}/jobs?a=b`, { endpoint_headers: { 'X-Mine': 'yes' } })
  dispatch(db, [queue])
  const { job_id } = await queue.addJob({ n: 1, text: 'née 🎈' }, {
    max_attempts: 4, headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', other: 1 },
  })
  await queue.waitForResult(job_id)
  const [request] = server.arrived
  expect(request).toMatchObject({
    method: 'POST', path: '/jobs?a=b',
    headers: {
      'content-type': 'application/json', 'x-mine': 'yes', 'user-agent': expect.stringMatching(/^pgq\//), 'webhook-id': expect.stringContaining(String(job_id)),
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    },
  })
  expect(jobOf(request!)).toMatchObject({
    job_id, queue_name: queue.queue_name, payload: { n: 1, text: 'née 🎈' }, attempt: 1, max_attempts: 4, lease_token: expect.any(Number), headers: { other: 1 },
  })
  expect(queue.ownsJob(jobOf(request!))).toBe(true)
})

test('GET sends the job in the query', async () => {
  const server = await startServer((_request, response) => void response.end())
  const queue = await newEndpointQueue<{ n: number; text: string }>(db, `${server.url}/jobs?a=b`, { endpoint_method: 'GET' })
  dispatch(db, [queue])
  const { job_id } = await queue.addJob({ n: 1, text: '100 % née & 🎈' })
  await queue.waitForResult(job_id)
  expect(server.arrived[0]).toMatchObject({ method: 'GET', body: '', path: expect.stringMatching(/^\/jobs\?a=b&job=/) })
  expect(jobOf(server.arrived[0]!)).toMatchObject({ job_id, payload: { n: 1, text: '100 % née & 🎈' } })
})

test('connections are kept and used again', async () => {
  const server = await startServer((_request, response) => void response.end('{}'))
  const queue = await newEndpointQueue(db, server.url, { endpoint_max_in_flight: 5 })
  dispatch(db, [queue])
  const ids = await queue.addJobs(numbers(200))
  await Promise.all(ids.map((id) => queue.waitForResult(id)))
  expect(server.arrived).toHaveLength(200)
  expect(server.connections).toBeLessThanOrEqual(10)
})

test('two dispatchers send each job once, and together keep the endpoint\'s limit', async () => {
  let now = 0
  let most = 0
  const server = await startServer(async (_request, response) => {
    most = Math.max(most, ++now)
    await sleep(5)
    now--
    response.end()
  })
  const queue = await newEndpointQueue(db, server.url, { endpoint_max_in_flight: 7 })
  const dispatchers = [dispatch(openDb(), [queue]), dispatch(openDb(), [queue])]
  const ids = await queue.addJobs(numbers(300))
  const jobs = await Promise.all(ids.map((id) => queue.waitForResult(id)))
  expect(jobs.every((job) => job.state === 'complete' && job.attempt === 1)).toBe(true)
  expect(server.arrived.map((request) => jobOf(request).payload.n).sort((a, b) => a - b)).toEqual(ids.map((_, n) => n))
  expect(most).toBeLessThanOrEqual(7)
  expect(most).toBeGreaterThan(3)
  await Promise.all(dispatchers.map((dispatcher) => dispatcher.stop()))
  expect(dispatchers.reduce((sum, dispatcher) => sum + dispatcher.stats().complete, 0)).toBe(300)
  expect(dispatchers.map((dispatcher) => dispatcher.stats().last_error)).toEqual([undefined, undefined])
})

test('an endpoint that hangs does not delay 19 others', async () => {
  const server = await startServer((request, response) => {
    if (request.path !== '/0') response.end()
  })
  const queues = await Promise.all(Array.from({ length: 20 }, (_, n) => newEndpointQueue(db, `${server.url}/${n}`, { endpoint_max_in_flight: 1000, endpoint_timeout_milliseconds: 10_000 })))
  const dispatcher = dispatch(db, queues, { concurrency: 100 })
  const [hanging, ...healthy] = queues as [PgQueue<{ n: number }>, ...PgQueue<{ n: number }>[]]
  await hanging.addJobs(numbers(2000))
  await until(() => server.arrived.length > 0)
  await sleep(300)
  const latencies: number[] = []
  for (let round = 0; round < 5; round++) {
    await Promise.all(healthy.map(async (queue) => {
      const began = performance.now()
      await queue.waitForResult((await queue.addJob({ n: round })).job_id)
      latencies.push(performance.now() - began)
    }))
  }
  expect(Math.max(...latencies)).toBeLessThan(2000)
  await dispatcher.stop({ hard: true })
})

// ---- Waking up

test('an idle dispatcher is woken by an add, however seldom it polls', async () => {
  const server = await startServer((_request, response) => void response.end())
  const queue = await newEndpointQueue(db, server.url)
  dispatch(db, [queue], { poll_interval_milliseconds: 60_000 })
  for (let n = 0; n < 3; n++) {
    await sleep(200)
    const began = performance.now()
    await queue.waitForResult((await queue.addJob({ n })).job_id)
    expect(performance.now() - began).toBeLessThan(3000)
  }
})

test('a scheduled job, and the end of a hold, wake it too', async () => {
  const server = await startServer((_request, response) => {
    if (server.arrived.length === 2) response.writeHead(503, { 'retry-after': '1' })
    response.end()
  })
  const queue = await newEndpointQueue(db, server.url)
  dispatch(db, [queue], { poll_interval_milliseconds: 60_000 })
  await sleep(200)
  const began = performance.now()
  await queue.waitForResult((await queue.addJob({ n: 1 }, { start_after: new Date(Date.now() + 500) })).job_id)
  expect(performance.now() - began).toBeGreaterThan(400)
  await queue.waitForResult((await queue.addJob({ n: 2 })).job_id)
  expect(server.arrived).toHaveLength(3)
  expect(performance.now() - began).toBeLessThan(10_000)
})

test('without notifications it polls', async () => {
  const server = await startServer((_request, response) => void response.end())
  const queue = await newEndpointQueue(db, server.url)
  dispatch(openDb({ transaction_pooler: true }), [queue], { poll_interval_milliseconds: 50 })
  await sleep(300)
  await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
})

test('endpoints that are set, switched off and on while it runs are heeded', async () => {
  const server = await startServer((_request, response) => void response.end())
  const queue = new PgQueue<{ n: number }>(db, queueName())
  const { job_id } = await queue.addJob({ n: 1 })
  dispatch(db, [queue], { poll_interval_milliseconds: 50 })
  const details = { endpoint_url: server.url, endpoint_is_insecure_allowed: true }
  await queue.getConfig().setEndpoint(false, details)
  await sleep(200)
  expect(server.arrived).toHaveLength(0)
  await queue.getConfig().setEndpointActive(true)
  await queue.waitForResult(job_id)
  await queue.getConfig().removeEndpoint()
  await queue.addJob({ n: 2 })
  await sleep(200)
  expect(server.arrived).toHaveLength(1)
})

// ---- Stopping

test('a graceful stop waits for answers, and sends nothing more', async () => {
  const server = await startServer((_request, response) => void setTimeout(() => response.end(), 300))
  const queue = await newEndpointQueue(db, server.url, { endpoint_max_in_flight: 3 })
  const dispatcher = dispatch(db, [queue])
  const ids = await queue.addJobs(numbers(10))
  await until(() => server.arrived.length === 3)
  await dispatcher.stop()
  expect(server.arrived).toHaveLength(3)
  expect(dispatcher.stats()).toMatchObject({ sent: 3, complete: 3, in_flight: 0, unrecorded: 0 })
  expect(await queue.stats()).toMatchObject({ ready: ids.length - 3, running: 0 })
})

test('a stop that has waited long enough gives the jobs back, and uses no attempt', async () => {
  const server = await startServer((_request, response) => {
    if (server.arrived.length > 3) response.end()
  })
  const queue = await newEndpointQueue(db, server.url)
  const dispatcher = dispatch(db, [queue])
  const ids = await queue.addJobs(numbers(3))
  await until(() => server.arrived.length === 3)
  const began = performance.now()
  await dispatcher.stop({ timeout_milliseconds: 200 })
  expect(performance.now() - began).toBeLessThan(3000)
  expect(dispatcher.stats()).toMatchObject({ paused: 3, failed: 0 })
  expect(await queue.getConfig().endpointStatus()).toMatchObject({ in_flight: 0, consecutive_failures: 0 })
  dispatch(db, [queue])
  const jobs = await Promise.all(ids.map((id) => queue.waitForResult(id)))
  expect(jobs.map((job) => [job.state, job.attempt])).toEqual(ids.map(() => ['complete', 1]))
})

test('it stops by signal, by time and by disposal', async () => {
  const controller = new AbortController()
  const by_signal = startDispatcher(db, { queue_names: [queueName()], signal: controller.signal })
  controller.abort()
  await by_signal.stopped
  await startDispatcher(db, { queue_names: [queueName()], exit_after_milliseconds: 100 }).stopped
  await startDispatcher(db, { queue_names: [queueName()], signal: controller.signal }).stopped
  await using disposed = startDispatcher(db, { queue_names: [queueName()] })
  expect(disposed.dispatcher).toMatch(/^dispatcher-/)
})

test('the class begins in its constructor, and ends after its time', async () => {
  await installPlain(db, 'dispatcher class')
  const server = await startServer((_request, response) => void response.end())
  const queue = new PgQueue<{ n: number }>(db, 'jobs', 'dispatcher class')
  await queue.getConfig().setEndpoint(true, { endpoint_url: server.url, endpoint_is_insecure_allowed: true })
  const { job_id } = await queue.addJob({ n: 1 })
  const began = performance.now()
  const dispatcher = new Dispatcher(db, 1, 'dispatcher class')
  await queue.waitForResult(job_id)
  await dispatcher.done
  expect(performance.now() - began).toBeGreaterThan(900)
  expect(dispatcher.stats()).toMatchObject({ sent: 1, complete: 1 })
  const endless = new Dispatcher(db, undefined, 'dispatcher class')
  await endless.stop()
  await endless.done
})

// ---- When things go wrong

test('answers that come while all connections are lost are recorded when there are some again', async () => {
  const name = 'pgq unstable dispatcher'
  const unstable = openDb({ application_name: name })
  const server = await startServer((_request, response) => void setTimeout(() => response.end('"kept"'), 20))
  const queue = await newEndpointQueue(db, server.url, { endpoint_max_in_flight: 10 })
  const errors: unknown[] = []
  const dispatcher = dispatch(unstable, [queue], { on_error: (error) => errors.push(error), poll_interval_milliseconds: 100 })
  const ids = await queue.addJobs(numbers(300), { timeout_milliseconds: 2000 })
  for (let round = 0; round < 4; round++) {
    await until(() => server.arrived.length >= 60 * round + 20)
    await until(async () => (await db.query({ q: 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', args: [name] })).rows.length > 0)
  }
  const jobs = await Promise.all(ids.map((id) => queue.waitForResult(id)))
  expect(jobs.every((job) => job.state === 'complete')).toBe(true)
  // What was picked by a call whose answer was lost is not sent: its lease has to run out. Nothing else is sent twice.
  expect(new Set(server.arrived.map((request) => jobOf(request).payload.n)).size).toBe(300)
  expect(errors.length).toBeGreaterThan(0)
  expect(errors.every((error) => error instanceof PgqError && error.code === 'connection_lost')).toBe(true)
  await dispatcher.stop()
  expect(dispatcher.stats()).toMatchObject({ unrecorded: 0, in_flight: 0 })
})

test('a fetch of your own sends the requests, and may do as it likes', async () => {
  const sent = latch<string>()
  const queue = await newEndpointQueue(db, 'https://example.org/jobs', { endpoint_timeout_milliseconds: 1000 }, { max_attempts: 2 })
  let calls = 0
  dispatch(db, [queue], {
    fetch: async (url) => {
      if (calls++ === 0) return new Promise(() => {}) // It heeds no signal.
      sent.open(String(url))
      return Response.json('mine')
    },
  })
  const { job_id } = await queue.addJob({ n: 1 })
  expect(await queue.waitForResult(job_id)).toMatchObject({ state: 'complete', attempt: 2, output: 'mine' })
  expect(await sent.promise).toBe('https://example.org/jobs')
})

test('a role with the access of a dispatcher can do all that it does, and no more', async () => {
  const role = `dispatcher_${process.pid}`
  await db.exec(`CREATE ROLE ${role} LOGIN`)
  try {
    await db.query({ q: 'SELECT pgq.grant_access($1, $2)', args: [role, 'dispatcher'] })
    const theirs = openDb({ url: DATABASE_URL.replace('//postgres@', `//${role}@`) })
    const server = await startServer((_request, response) => void response.writeHead(server.arrived.length === 1 ? 500 : 200).end())
    const queue = await newEndpointQueue(db, server.url, { endpoint_bearer_token_location: 'inline' })
    await queue.getConfig().setQueueEndPointApiKey('secret')
    await queue.getConfig().rotateSigningSecret()
    const dispatcher = dispatch(theirs, [queue])
    await sleep(200) // Until it is idle.
    expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'complete', attempt: 2 })
    await dispatcher.stop()
    expect(dispatcher.stats().last_error).toBeUndefined()
    const config = new PgQueueConfig(theirs, queue.queue_name)
    await errorOf(config.getQueueEndPointApiKey(), 'access_denied')
    await errorOf(config.setEndpoint(true, { endpoint_url: 'https://example.org' }), 'access_denied')
    await errorOf(theirs.query({ q: 'SELECT secret FROM pgq.endpoint_secret' }).catch((error) => { throw toPgqError(error) }), 'access_denied')
    await theirs.end()
  } finally {
    await db.exec(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  }
})

test('it works on PGlite', async () => {
  const pglite = await PGlite.create()
  const embedded = fromPglite(pglite)
  await installPlain(embedded, 'pgq')
  const server = await startServer((_request, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('"embedded"'))
  const queue = await newEndpointQueue(embedded, server.url)
  await queue.getConfig().rotateSigningSecret()
  const dispatcher = dispatch(embedded, [queue])
  const ids = await queue.addJobs(numbers(20))
  const jobs = await Promise.all(ids.map((id) => queue.waitForResult(id)))
  expect(jobs.every((job) => job.output === 'embedded')).toBe(true)
  await dispatcher.stop()
  await pglite.close()
})

test('options that are none are refused', async () => {
  await errorOf(() => startDispatcher({} as never), 'invalid_argument')
  await errorOf(() => startDispatcher(db, { concurrency: 0 }), 'invalid_argument')
  await errorOf(() => startDispatcher(db, { queue_names: 'mail' as never }), 'invalid_argument')
  await errorOf(() => startDispatcher(db, { fetch: 1 as never }), 'invalid_argument')
  await errorOf(() => new Dispatcher(db, -1), 'invalid_argument')
})
