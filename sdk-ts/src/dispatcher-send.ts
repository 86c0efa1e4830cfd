/** One request of a dispatcher, from sending to its answer. Mirrors no SQL file. */
import type { DispatchRequest, RequestAnswer } from './dispatch-source.ts'
import { storable } from './release.ts'
import type { Transport } from './transport.ts'

/** Why a request was aborted. */
const TIMED_OUT = new Error('timed out')
const GIVEN_BACK = new Error('given back')

/** A request under way. */
export interface Sending {
  readonly queue_name: string
  /** Waits no longer: the job is given back. */
  giveBack(): void
}

/** Sends it; `on_answer` is called once, whatever happens. */
export function sendRequest(transport: Transport, request: DispatchRequest, on_answer: (answer: RequestAnswer) => void): Sending {
  const { job_id, lease_token, timeout_milliseconds } = request
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(TIMED_OUT), timeout_milliseconds)

  function answer(rest: Omit<RequestAnswer, 'job_id' | 'lease_token'>): void {
    clearTimeout(timer)
    on_answer({ job_id, lease_token, ...rest })
  }

  const tellable = (text: string): string => storable(redacted(text, request.headers['authorization']))!

  transport.send(request, controller.signal).then(
    ({ status_code, headers, body, body_is_cut }) => answer({
      status_code,
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, tellable(value)])),
      ...(body !== '' && { body: tellable(body) }),
      ...(body_is_cut && { body_is_cut }),
    }),
    (error: unknown) => {
      const { reason } = controller.signal
      if (reason === GIVEN_BACK) answer({ given_back: true })
      else if (reason === TIMED_OUT) answer({ timed_out: true })
      else answer({ error: faultOf(error) })
    },
  )
  return { queue_name: request.queue_name, giveBack: () => controller.abort(GIVEN_BACK) }
}

/** Without the token, which some endpoints repeat, because the database may log what it is told. The same as `_redacted` in functions/67-verdict.sql. */
function redacted(body: string, authorization: string | undefined): string {
  const token = authorization?.replace(/^Bearer /, '')
  if (!token) return body
  const plain = body.replaceAll(token, '[redacted]')
  if (!plain.includes('\\')) return plain
  // Json may write what is no letter and no digit in other ways: as \/ or \u002f.
  const signs = new Set(token.match(/[^0-9A-Za-z]/g))
  const decoded = plain.replace(/\\(?:u00([0-9a-f]{2})|(\W))/gi, (written, hex: string | undefined, sign: string | undefined) => {
    const meant = hex === undefined ? sign! : String.fromCharCode(parseInt(hex, 16))
    return signs.has(meant) ? meant : written
  })
  return decoded.includes(token) ? decoded.replaceAll(token, '[redacted]') : plain
}

/** Codes and messages of Node, Deno and Bun, in one form. */
const FAULTS: readonly (readonly [sign: RegExp, fault: string])[] = [
  [/EPRIVATE/, 'private address'],
  [/ECONNREFUSED|ConnectionRefused|connection refused/i, 'connection refused'],
  [/ENOTFOUND|EAI_|FailedToOpenSocket|dns error|name resolution|failed to lookup/i, 'host not found'],
  [/ECONNRESET|EPIPE|UND_ERR_SOCKET|ConnectionClosed|connection (was )?(closed|reset)|socket hang up|ended prematurely|incomplete message/i, 'connection closed'],
  [/EHOSTUNREACH|ENETUNREACH|unreachable/i, 'host not reachable'],
  [/ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT|timed out/i, 'timed out'],
  [/CERT|SSL|TLS|certificate|self.signed|EPROTO/i, 'TLS error'],
  [/bad port|are blocked/i, 'a port that fetch does not allow'],
  [/^HPE_|invalid HTTP|parse error/i, 'no HTTP'],
  [/ERR_INVALID_CHAR|ERR_INVALID_HTTP_TOKEN|ERR_INVALID_URL|invalid (url|header)/i, 'url or headers that cannot be sent'],
]

/**
 * Why there is no answer, in a few words. Messages of runtimes are not passed on, because some hold the url: only the code,
 * where the error is none of the known ones.
 */
export function faultOf(error: unknown): string {
  let code = ''
  for (let cause = error, depth = 0; cause !== undefined && cause !== null && depth < 5; depth++) {
    const { code: own_code, message, cause: next } = cause as { code?: unknown; message?: unknown; cause?: unknown }
    if (typeof own_code === 'string' && /^\w{1,60}$/.test(own_code)) code = own_code
    for (const text of [own_code, message]) {
      if (typeof text !== 'string') continue
      const known = FAULTS.find(([sign]) => sign.test(text))
      if (known) return known[1]
    }
    cause = next
  }
  return code === '' ? 'the request failed' : `the request failed (${code})`
}
