/** An HTTP server on 127.0.0.1 that answers as a test wants, and remembers what it was sent. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Received {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** As it came, byte for byte. */
  readonly body: string
  /** Milliseconds of the clock. */
  readonly at: number
}

export interface Answer {
  /** @default 200 */
  readonly status?: number
  /** A list gives a header several times. @default {} */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** @default '' */
  readonly body?: string | Buffer
  /** Milliseconds before it answers; Infinity for never. @default 0 */
  readonly delay?: number
  /** The connection is closed instead of an answer. @default false */
  readonly is_cut?: boolean
}

export interface Endpoint extends AsyncDisposable {
  readonly received: Received[]
  /** Address of a path, which begins with a slash. */
  url(path?: string): string
  /** How the endpoint answers from now on. */
  answers(answer: (received: Received) => Answer | Promise<Answer>): void
  /** The jobs of the bodies that came, in their order. */
  jobs(): { readonly job_id: number; readonly lease_token: number; readonly attempt: number }[]
}

export async function startEndpoint(first: (received: Received) => Answer | Promise<Answer> = () => ({})): Promise<Endpoint> {
  const received: Received[] = []
  let answer = first
  const server = createServer((request, response) => void handle(request, response))
  server.keepAliveTimeout = 1

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    // (Who asked may be gone.)
    request.on('error', () => {})
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const one: Received = {
      method: request.method!, path: request.url!, headers: request.headers, body: Buffer.concat(chunks).toString(), at: Date.now(),
    }
    received.push(one)
    const { status = 200, headers = {}, body = '', delay = 0, is_cut = false } = await answer(one)
    if (delay === Infinity) return
    if (delay > 0) await sleep(delay)
    if (is_cut) {
      request.socket.destroy()
      return
    }
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    response.writeHead(status).end(body)
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    received,
    url: (path = '/') => `http://127.0.0.1:${port}${path}`,
    answers: (next) => void (answer = next),
    jobs: () => received.filter(({ method }) => method === 'POST').map(({ body }) => JSON.parse(body)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
