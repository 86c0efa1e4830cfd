/** Carries a request to an endpoint and its answer back. Mirrors no SQL file: SQL makes the one and judges the other. */
import type { DispatchRequest } from './dispatch-source.ts'

/** What came back, as far as it was read. */
export interface Received {
  readonly status_code: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** It was longer than `max_response_bytes`. */
  readonly body_is_cut: boolean
}

/** Sends a request and reads the answer. Rejects when there is none, or when `signal` aborts. Follows no redirects. */
export interface Transport {
  send(request: DispatchRequest, signal: AbortSignal): Promise<Received>
  /** Closes idle connections. */
  close(): void
}

/** The headers of an answer that mean something. */
export const MEANINGFUL_HEADERS = ['content-type', 'retry-after', 'location'] as const

/** What is sent beside the headers that SQL has made: an answer is read as it comes. */
export const OWN_HEADERS = { 'accept-encoding': 'identity' } as const

/** The global fetch, or yours. */
export function fetchTransport(fetch: typeof globalThis.fetch): Transport {
  return {
    async send({ method, url, headers, body, max_response_bytes }, signal) {
      const init: RequestInit & { timeout: false } = {
        method, headers: { ...headers, ...OWN_HEADERS }, body, redirect: 'manual', signal,
        // Bun gives up after five minutes otherwise.
        timeout: false,
      }
      const response = await unlessAborted(fetch(url, init), signal)
      const meaningful: Record<string, string> = {}
      for (const name of MEANINGFUL_HEADERS) {
        const value = response.headers.get(name)
        if (value !== null) meaningful[name] = value
      }
      const read = await unlessAborted(readBody(response, max_response_bytes), signal)
      return { status_code: response.status, headers: meaningful, ...read }
    },
    close() {},
  }
}

async function readBody({ body }: Response, max_bytes: number): Promise<Pick<Received, 'body' | 'body_is_cut'>> {
  if (body === null) return { body: '', body_is_cut: false }
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let length = 0; ; ) {
    const { done, value } = await reader.read()
    if (done) return { body: text + decoder.decode(), body_is_cut: false }
    if (length + value.length > max_bytes) {
      text += decoder.decode(value.subarray(0, max_bytes - length))
      // The rest may never end: nobody waits for it.
      reader.cancel().catch(() => {})
      return { body: text, body_is_cut: true }
    }
    length += value.length
    text += decoder.decode(value, { stream: true })
  }
}

/** A fetch of the user's may not heed its signal. */
function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason)
    signal.addEventListener('abort', giveUp, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}
