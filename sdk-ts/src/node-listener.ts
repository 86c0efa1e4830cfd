/** Lets a Web-standard handler answer the requests of Node's http server, and so of Express. Mirrors no SQL file. */
import type { JobRequestHandler } from './job-handler-options.ts'

/** What of Node's `IncomingMessage` is used. */
export interface NodeRequest extends AsyncIterable<Uint8Array> {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** What of Node's `ServerResponse` is used. */
export interface NodeResponse {
  readonly writableFinished: boolean
  on(event: 'close', listener: () => void): unknown
  writeHead(status: number, headers: Record<string, string>): unknown
  end(body?: Uint8Array): unknown
}

/**
 * Makes a request listener of a handler: `http.createServer(toNodeListener(handler))`, or
 * `app.post('/jobs', toNodeListener(handler))` in Express. No body parser may come before it: signatures cover the bytes.
 */
export function toNodeListener(handler: JobRequestHandler): (incoming: NodeRequest, outgoing: NodeResponse) => void {
  return (incoming, outgoing) => {
    const closed = new AbortController()
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) closed.abort()
    })
    answer(handler, requestOf(incoming, closed.signal), outgoing).catch(() => {
      if (!closed.signal.aborted) outgoing.writeHead(500, {})
      outgoing.end()
    })
  }
}

async function answer(handler: JobRequestHandler, request: Request, outgoing: NodeResponse): Promise<void> {
  const response = await handler(request)
  const body = new Uint8Array(await response.arrayBuffer())
  const headers: Record<string, string> = body.length > 0 ? { 'content-length': `${body.length}` } : {}
  response.headers.forEach((value, name) => (headers[name] = value))
  outgoing.writeHead(response.status, headers)
  outgoing.end(body)
}

function requestOf(incoming: NodeRequest, signal: AbortSignal): Request {
  const { method = 'GET', url = '/', headers } = incoming
  const pairs = Object.entries(headers).flatMap(([name, value]) => {
    // Those of HTTP/2 begin with a colon.
    return value === undefined || name.startsWith(':') ? [] : [[name, Array.isArray(value) ? value.join(', ') : value] as [string, string]]
  })
  const init: RequestInit & { duplex: 'half' } = { method, headers: pairs, signal, duplex: 'half' }
  if (method !== 'GET' && method !== 'HEAD') init.body = streamOf(incoming)
  // The host does not matter, and may be anything.
  return new Request(new URL(url, 'http://localhost'), init)
}

function streamOf(incoming: NodeRequest): ReadableStream<Uint8Array> {
  const chunks = incoming[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await chunks.return?.()
    },
  })
}
