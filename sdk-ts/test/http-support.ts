/** What the tests of HTTP share: local endpoints, and queues that are sent to them. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll } from 'vitest'
import {
  PgQueue, startDispatcher, toNodeListener, type DispatcherOptions, type EndpointDetails, type JobRequestHandler, type Queryable,
  type RunningDispatcher,
} from '../src/index.ts'
import { newQueue } from './support.ts'

/** A request as it arrived. */
export interface Arrived {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly at: number
}

/** An HTTP server on this machine. */
export interface LocalServer {
  readonly url: string
  readonly arrived: Arrived[]
  /** Connections that were opened. */
  readonly connections: number
}

type Answer = (request: Arrived, response: ServerResponse) => void

const closers: (() => Promise<void>)[] = []
const dispatchers: RunningDispatcher[] = []
afterAll(async () => {
  await Promise.all(dispatchers.map((dispatcher) => dispatcher.stop({ hard: true })))
  await Promise.all(closers.map((close) => close()))
})

function listen(listener: (incoming: IncomingMessage, outgoing: ServerResponse) => void): Promise<{ url: string; count: () => number }> {
  let connections = 0
  const server = createServer(listener).on('connection', () => connections++)
  closers.push(() => new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  }))
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, count: () => connections }))
  })
}

/** An endpoint that answers as it is told; closed after the tests of the file. */
export async function startServer(answer: Answer): Promise<LocalServer> {
  const arrived: Arrived[] = []
  const { url, count } = await listen((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const { method = '', url: path = '', headers } = incoming
      const request = { method, path, headers, body: Buffer.concat(chunks).toString(), at: performance.now() }
      arrived.push(request)
      answer(request, outgoing)
    })
  })
  return { url, arrived, get connections() { return count() } }
}

/** An address where nobody listens. */
export async function closedUrl(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

/** Serves a handler of `createJobHandler`. */
export async function serve(handler: JobRequestHandler): Promise<string> {
  return (await listen(toNodeListener(handler))).url
}

/** A queue of its own whose jobs are sent to `url`. */
export async function newEndpointQueue<T = { n: number }>(
  db: Queryable, url: string, details: Partial<EndpointDetails> = {}, settings: object = {},
): Promise<PgQueue<T>> {
  const queue = await newQueue<T>(db, settings)
  await queue.getConfig().setEndpoint(true, { endpoint_url: url, endpoint_is_insecure_allowed: true, ...details })
  return queue
}

/** A dispatcher of these queues only; stopped after the tests of the file. */
export function dispatch(db: Queryable, queues: readonly Pick<PgQueue, 'queue_name'>[], options: DispatcherOptions = {}): RunningDispatcher {
  const dispatcher = startDispatcher(db, { queue_names: queues.map((queue) => queue.queue_name), ...options })
  dispatchers.push(dispatcher)
  return dispatcher
}

/** The job of a request. */
export function jobOf(request: Arrived): Record<string, unknown> & { payload: { n: number } } {
  return JSON.parse(request.method === 'GET' ? new URL(request.path, 'http://x').searchParams.get('job')! : request.body)
}
