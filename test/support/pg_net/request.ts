/** One HTTP request as libcurl makes it for pg_net, and its outcome as pg_net stores it. */
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Behaviour } from './eras.ts'

export interface QueuedRequest {
  readonly id: string
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | null
  readonly timeout_milliseconds: number
}

/** A row of net._http_response, but for its id. */
export interface Outcome {
  readonly status_code: number | null
  readonly content_type: string | null
  /** Those of the first hop, their case kept; of equal names the last. */
  readonly headers: Readonly<Record<string, string>> | null
  /** Not validated; it ends before the first zero byte. Null when it is empty. */
  readonly content: Buffer | null
  readonly timed_out: boolean | null
  readonly error_msg: string | null
}

/** (With the libcurl of the trial there was no limit at all: newer ones have this.) */
const MOST_REDIRECTS = 30

/** What libcurl calls an error of the network. */
const ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Couldn't connect to server",
  EHOSTUNREACH: "Couldn't connect to server",
  ENETUNREACH: "Couldn't connect to server",
  ENOTFOUND: "Couldn't resolve host name",
  EAI_AGAIN: "Couldn't resolve host name",
  ECONNRESET: 'Server returned nothing (no headers, no data)',
  ERR_INVALID_CHAR: 'A libcurl function was given a bad argument',
}

interface Hop {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | null
}

interface Answer {
  readonly message: IncomingMessage
  readonly content: Buffer
}

/** Makes the request; `signal` gives it up without an outcome. */
export async function perform(request: QueuedRequest, behaviour: Behaviour, signal: AbortSignal): Promise<Outcome> {
  const began = performance.now()
  // A time-out of 0 is none.
  const time_is_over = request.timeout_milliseconds > 0 ? AbortSignal.timeout(request.timeout_milliseconds) : undefined
  const either = time_is_over === undefined ? signal : AbortSignal.any([signal, time_is_over])
  try {
    return await follow(request, behaviour, either)
  } catch (error) {
    signal.throwIfAborted()
    if (time_is_over?.aborted) {
      const total = (performance.now() - began).toFixed(6)
      return failed(`Timeout of ${request.timeout_milliseconds} ms reached. Total time: ${total} ms`, behaviour.timed_out)
    }
    const { code = '', message } = error as NodeJS.ErrnoException
    return failed(ERRORS[code] ?? message, outcomeFlag(behaviour))
  }
}

/** Before `timed_out` was filled it was null for all that had no answer. */
function outcomeFlag({ timed_out }: Behaviour): boolean | null {
  return timed_out === null ? null : false
}

function failed(error_msg: string, timed_out: boolean | null): Outcome {
  return { status_code: null, content_type: null, headers: null, content: null, timed_out, error_msg }
}

async function follow(request: QueuedRequest, behaviour: Behaviour, signal: AbortSignal): Promise<Outcome> {
  let hop: Hop = { method: request.method.toUpperCase(), url: new URL(request.url), headers: request.headers, body: request.body }
  let first: Record<string, string> | undefined
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    if (hop.url.protocol !== 'http:' && hop.url.protocol !== 'https:') return failed('Unsupported protocol', outcomeFlag(behaviour))
    const { message, content } = await send(hop, behaviour, signal)
    first ??= headersOf(message)
    const status_code = message.statusCode!
    const location = message.headers.location
    if (location !== undefined && [301, 302, 303, 307, 308].includes(status_code)) {
      hop = nextHop(hop, status_code, new URL(location, hop.url))
      continue
    }
    const end = content.indexOf(0)
    const text = end === -1 ? content : content.subarray(0, end)
    return {
      status_code, content_type: message.headers['content-type'] ?? null, headers: first,
      content: text.length === 0 ? null : text, timed_out: false, error_msg: null,
    }
  }
  return failed('Number of redirects hit maximum amount', outcomeFlag(behaviour))
}

/** A POST goes on as a GET without its body, unless the status says otherwise; another host does not get the token. */
function nextHop({ method, url, headers, body }: Hop, status_code: number, target: URL): Hop {
  const becomes_get = status_code === 303 || (method === 'POST' && (status_code === 301 || status_code === 302))
  const kept = Object.entries(headers).filter(([name]) => target.host === url.host || name.toLowerCase() !== 'authorization')
  return { method: becomes_get ? 'GET' : method, url: target, headers: Object.fromEntries(kept), body: becomes_get ? null : body }
}

function send({ method, url, headers, body }: Hop, behaviour: Behaviour, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const make = url.protocol === 'https:' ? requestHttps : requestHttp
    const request = make(url, {
      method, signal, agent: false,
      headers: {
        'User-Agent': `pg_net/${behaviour.version}`, Accept: '*/*',
        ...(body === null ? {} : { 'Content-Length': body.length }),
        ...headers,
      },
    })
    request.on('error', reject)
    request.on('response', (message) => {
      const chunks: Buffer[] = []
      message.on('data', (chunk: Buffer) => chunks.push(chunk))
      message.on('error', () => reject(signal.aborted ? signal.reason : new Error('Failure when receiving data from the peer')))
      message.on('end', () => resolve({ message, content: Buffer.concat(chunks) }))
    })
    request.end(body ?? undefined)
  })
}

function headersOf({ rawHeaders }: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {}
  for (let place = 0; place < rawHeaders.length; place += 2) headers[rawHeaders[place]!] = rawHeaders[place + 1]!
  return headers
}
