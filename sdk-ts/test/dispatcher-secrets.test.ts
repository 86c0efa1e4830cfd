import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { createJobHandler } from '../src/index.ts'
import { closedUrl, dispatch, newEndpointQueue, serve, startServer } from './http-support.ts'
import { openDb, until } from './support.ts'

/** Tokens, secrets and signatures: to be found nowhere but in the requests themselves. */
test('what a dispatcher and a handler log, tell and store has no secret in it', async () => {
  const secrets = { token: 'b3arer-t0ken-of-mine', signing: `whsec_${btoa('32 bytes that nobody can know of')}`, password: 'passw0rd-in-query' }
  const name = 'pgq secrets'
  const db = openDb({ application_name: name })
  const other = openDb()
  const seen: unknown[] = []
  const note = (...what: unknown[]): void => void seen.push(...what)
  const logger = { debug: note, info: note, warn: note, error: note }

  const failing = await startServer((request, response) => {
    // It answers with what it got, which is no secret to it; but it shall not be kept.
    if (request.path.startsWith('/echo')) response.writeHead(500)
    else if (request.path.startsWith('/busy')) response.writeHead(503, { 'retry-after': '1' })
    else return void response.destroy()
    response.end('no')
  })
  const handler_url = await serve((request) => handler(request))
  const urls = [`${failing.url}/echo?key=${secrets.password}`, `${failing.url}/busy?key=${secrets.password}`, `${failing.url}/close?key=${secrets.password}`, `${await closedUrl()}?key=${secrets.password}`, `http://no-such-host.invalid/?key=${secrets.password}`, `${handler_url}/?key=${secrets.password}`]
  const queues = await Promise.all(urls.map(async (url) => {
    const queue = await newEndpointQueue(db, url, { endpoint_bearer_token_location: 'inline' }, { max_attempts: 2 })
    await queue.getConfig().setQueueEndPointApiKey(secrets.token)
    await queue.getConfig().rotateSigningSecret(secrets.signing)
    return queue
  }))
  const handler = createJobHandler(queues.at(-1)!, () => { throw new Error('of the handler') }, { signing_secret: `whsec_${btoa('x'.repeat(32))}`, bearer_token: 'another', logger, on_error: note })
  const dispatcher = dispatch(db, queues, { logger, on_error: note })
  const added = await Promise.all(queues.map((queue) => queue.addJob({ n: 1 })))
  await until(() => failing.arrived.length >= 3)
  expect(failing.arrived[0]!.headers['authorization']).toBe(`Bearer ${secrets.token}`)
  await other.query({ q: 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', args: [name] })
  await until(async () => (await queues[0]!.getJob(added[0]!.job_id).catch(() => undefined))?.state === 'dead')
  await until(() => dispatcher.stats().last_error)
  await dispatcher.stop()

  for (const [n, queue] of queues.entries()) {
    seen.push(await queue.getJob(added[n]!.job_id), await queue.stats(), await queue.getConfig().endpointStatus(), await queue.getConfig().get())
  }
  seen.push(dispatcher.stats())
  const tables = ['job', 'finished_job', 'request', 'endpoint_state', 'queue']
  for (const table of tables) seen.push((await other.query({ q: `SELECT to_jsonb(t)::text AS r FROM pgq.${table} AS t` })).rows)
  const shown = inspect(seen, { depth: 20, maxStringLength: Infinity, maxArrayLength: Infinity, showHidden: true })
  expect(shown).toContain('last_error')
  const signature = String(failing.arrived[0]!.headers['webhook-signature']).slice(3, 20)
  for (const secret of [secrets.token, secrets.signing.slice(6), secrets.password, signature]) expect(shown.includes(secret), secret).toBe(false)
})
