/** The jobs that call a server, and the server: one of its addresses fails twice, some are slow. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface UrlJob {
  readonly url: string
}

export interface UrlResult {
  readonly status: number
  readonly text: string
}

/** The handler: an error that it throws fails the attempt. */
export async function fetchUrl({ url }: UrlJob): Promise<UrlResult> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5000) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return { status: response.status, text: await response.text() }
}

const SLOW_MILLISECONDS = 150
const SLOW_REQUESTS = 8

export interface WebServer extends AsyncDisposable {
  readonly hello_url: string
  /** Answers 503, 503, 200. */
  readonly flaky_url: string
  readonly slow_urls: readonly string[]
  /** How many slow requests were under way at the same time, at most. */
  readonly most_slow_at_once: number
}

export async function startWebServer(): Promise<WebServer> {
  let flaky_requests = 0
  let slow_now = 0
  let most_slow = 0

  const answer = (response: ServerResponse, status: number, text: string): void => {
    response.writeHead(status, { 'content-type': 'text/plain' }).end(text)
  }
  const server = createServer((request, response) => {
    switch (request.url?.split('?')[0]) {
      case '/hello':
        return answer(response, 200, 'hello')
      case '/flaky':
        flaky_requests += 1
        return flaky_requests <= 2 ? answer(response, 503, 'not yet') : answer(response, 200, `hello at request ${flaky_requests}`)
      case '/slow':
        slow_now += 1
        most_slow = Math.max(most_slow, slow_now)
        return void setTimeout(() => {
          answer(response, 200, `${slow_now} at once`)
          slow_now -= 1
        }, SLOW_MILLISECONDS)
      default:
        return answer(response, 404, 'not found')
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    hello_url: `${base}/hello`,
    flaky_url: `${base}/flaky`,
    slow_urls: Array.from({ length: SLOW_REQUESTS }, (_, index) => `${base}/slow?n=${index + 1}`),
    get most_slow_at_once() {
      return most_slow
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
