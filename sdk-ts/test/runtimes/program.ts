/**
 * What each runtime has to be able to do: a handler that is served, and a dispatcher that sends to it and to endpoints that
 * misbehave; and the plain SQL is installed. Told by the environment: DATABASE_URL, ENDPOINT_URL, CLOSED_URL. Prints what it found as JSON.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import process from 'node:process'
import { createJobHandler, install, PgQueue, PostgresDb, startDispatcher, startWorker, toNodeListener, uninstall, z, type JobRequestHandler } from '../../src/index.ts'
import { pgcFileReaderNode } from '../../src/node.ts'

interface Runtimes {
  readonly Deno?: { serve(options: object, handler: JobRequestHandler): { addr: { port: number }; shutdown(): Promise<void> } }
  readonly Bun?: { serve(options: object): { port: number; stop(): void } }
}
const { Deno, Bun } = globalThis as Runtimes
const runtime = Deno ? 'deno' : Bun ? 'bun' : 'node'

async function serve(handler: JobRequestHandler): Promise<{ port: number; close: () => unknown }> {
  if (Deno) {
    const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: () => {} }, handler)
    return { port: server.addr.port, close: () => server.shutdown() }
  }
  if (Bun) {
    const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: handler })
    return { port: server.port, close: () => server.stop() }
  }
  const server = createServer(toNodeListener(handler))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

const db = new PostgresDb(process.env['DATABASE_URL']!)
const name = `runtime ${runtime} ${crypto.randomUUID()}`
const insecure = { endpoint_is_insecure_allowed: true, endpoint_timeout_milliseconds: 1000, endpoint_max_response_bytes: 20_000 }

// ---- A handler, signed, with a schema
const queue = new PgQueue(db, name, { payload_schema: z.object({ n: z.number() }) })
const secret = `whsec_${btoa('32 bytes that nobody can know of')}`
const handler = createJobHandler(queue, async ({ n }, job) => {
  if (n === 1 && job.attempt === 1) throw new Error('once')
  return { n, attempt: job.attempt }
}, { signing_secret: secret })
const server = await serve(handler)
await queue.getConfig().set({ retry_backoff: 'fixed', pause_between_retries_milliseconds: 20 })
await queue.getConfig().setEndpoint(true, { endpoint_url: `http://127.0.0.1:${server.port}/jobs`, ...insecure })
await queue.getConfig().rotateSigningSecret(secret)

// ---- Endpoints that misbehave
const faults: Record<string, string> = {
  error: '/500', redirect: '/302', hang: '/hang', half: '/half', close: '/close', endless: '/endless', large: '/large', refused: process.env['CLOSED_URL']!, unknown: 'http://no-such-host.invalid',
}
const queues: Record<string, PgQueue<number>> = {}
for (const [fault, url] of Object.entries(faults)) {
  const faulty = (queues[fault] = new PgQueue<number>(db, `${name} ${fault}`))
  await faulty.getConfig().set({ max_attempts: 1 })
  await faulty.getConfig().setEndpoint(true, { endpoint_url: url.startsWith('/') ? process.env['ENDPOINT_URL']! + url : url, ...insecure })
}

const dispatcher = startDispatcher(db, { poll_interval_milliseconds: 60_000, queue_names: [name, ...Object.values(queues).map((one) => one.queue_name)] })
const ids = await queue.addJobs(Array.from({ length: 100 }, (_, n) => ({ n })))
const outputs = (await Promise.all(ids.map((id) => queue.waitForResult(id)))).map((job) => job.output as { n: number; attempt: number })

const found: Record<string, unknown> = {}
await Promise.all(Object.entries(queues).map(async ([fault, faulty]) => {
  const { state, error } = await faulty.waitForResult((await faulty.addJob(1)).job_id)
  found[fault] = [state, error]
}))

// ---- Idle, then woken
await new Promise((resolve) => setTimeout(resolve, 300))
const began = performance.now()
await queue.waitForResult((await queue.addJob({ n: 7 })).job_id)
const woken_after = performance.now() - began
await dispatcher.stop()
const stats = dispatcher.stats()
await server.close()

// ---- A worker
await queue.getConfig().setEndpointActive(false)
const worker = startWorker(queue, ({ n }) => n * 2)
const doubled = (await queue.waitForResult((await queue.addJob({ n: 21 })).job_id)).output
await worker.stop()

// ---- Plain SQL
const schema = { schema_name: `runtime ${runtime}` }
await install(pgcFileReaderNode, db, schema)
const is_installed = await uninstall(db, schema)
await db.end()

console.log(JSON.stringify({
  runtime, complete: outputs.filter(({ n }, index) => n === index).length, retried: outputs[1]!.attempt, found, woken_after, doubled, is_installed,
  last_error: stats.last_error === undefined ? null : String(stats.last_error),
}))
process.exit(0)
