/** `createSignalHandler`: the HTTP handler behind the links that send signals. Mirrors functions/63-signal.sql (`signal_by_token`). */
import { toPgqError, type PgqErrorCode } from './errors.ts'
import { expectWhole } from './expect.ts'
import type { JobRequestHandler } from './job-handler-options.ts'
import { readText, refusal } from './job-request.ts'
import type { Queryable } from './queryable.ts'
import { createReport } from './report.ts'
import { signalByToken } from './signal.ts'
import { DEFAULT_SCHEMA } from './sql-call.ts'
import { confirmPage, messagePage, type SignalTexts } from './signal-page.ts'
import type { WorkerLogger } from './worker-options.ts'

/** Options of `createSignalHandler`. */
export interface SignalHandlerOptions {
  /** The schema that pgq lives in. @default 'pgq' */
  readonly schema_name?: string
  /** What the pages say; a function is given the parameters of the link beside the token. @default short English texts */
  readonly texts?: Partial<SignalTexts> | ((parameters: Readonly<Record<string, string>>) => Partial<SignalTexts>)
  /** Larger requests are refused. @default 65 536 */
  readonly max_request_bytes?: number
  /** @default none: nothing is printed */
  readonly logger?: WorkerLogger
  /** Called with what goes wrong, e.g. a lost connection. @default none */
  readonly on_error?: (error: unknown) => void
}

/** What a request says. */
interface SignalRequest {
  readonly token: string | undefined
  /** undefined for none. */
  readonly payload: unknown
  /** Those of the link beside the token. */
  readonly parameters: Readonly<Record<string, string>>
}

type SignalAnswer = 'done' | 'gone' | 'invalid' | 'failed'

/**
 * Makes a function that answers the links that approve, decline, confirm: `https://…/signal?token=…`, with a token of
 * `context.makeSignalToken`. A GET only shows a page with a button, because mail scanners follow links; its POST sends the
 * signal. Further parameters of the link (`&approved=yes`) are the signal's payload, `{ approved: 'yes' }`: whoever has the link
 * can change them. A program may POST JSON: `{ "token": "…", "payload": … }`.
 */
export function createSignalHandler(db: Queryable, options: SignalHandlerOptions = {}): JobRequestHandler {
  const { schema_name = DEFAULT_SCHEMA, texts = {}, max_request_bytes = 65_536 } = options
  expectWhole('max_request_bytes', max_request_bytes, 1)
  const report = createReport(options)
  const textsOf = typeof texts === 'function' ? texts : () => texts

  return async function handleSignalRequest(request) {
    const { method, headers } = request
    const link = Object.fromEntries(new URL(request.url).searchParams)
    if (method === 'GET' || method === 'HEAD') {
      const { token, ...parameters } = link
      return token ? confirmPage(token, parameters, textsOf(parameters)) : messagePage(400, 'invalid', textsOf(parameters))
    }
    if (method !== 'POST') return refusal(405, 'signals come by POST', { allow: 'GET, HEAD, POST' })
    const text = await readText(request, max_request_bytes)
    if (text === undefined) return refusal(413, `the request is longer than ${max_request_bytes} bytes`)
    const is_json = /^application\/json\b/i.test(headers.get('content-type') ?? '')
    const sent = is_json ? requestOfJson(link, text) : requestOfForm(link, text)
    const [status, answer] = await send(sent)
    return is_json
      ? Response.json({ status: answer }, { status, headers: { 'cache-control': 'no-store' } })
      : messagePage(status, answer, textsOf(sent.parameters))
  }

  async function send({ token, payload }: SignalRequest): Promise<[status: number, answer: SignalAnswer]> {
    if (!token) return [400, 'invalid']
    try {
      await signalByToken(db, token, payload, schema_name)
      return [200, 'done']
    } catch (error) {
      const pgq_error = toPgqError(error)
      if (GONE.includes(pgq_error.code)) return [410, 'gone']
      report(pgq_error)
      return [pgq_error.code === 'invalid_argument' || pgq_error.code === 'too_large' ? 400 : 503, 'failed']
    }
  }
}

/** The token is used or too old, or its run has ended. */
const GONE: readonly PgqErrorCode[] = ['signal_token_not_found', 'job_not_found', 'job_in_another_state']

/** What the form holds and what the link says is one. */
function requestOfForm(link: Readonly<Record<string, string>>, text: string): SignalRequest {
  const { token, ...parameters } = { ...link, ...Object.fromEntries(new URLSearchParams(text)) }
  return { token, parameters, payload: Object.keys(parameters).length > 0 ? parameters : undefined }
}

/** Without a token where the text is no such JSON. */
function requestOfJson({ token: linked, ...parameters }: Readonly<Record<string, string>>, text: string): SignalRequest {
  try {
    const { token = linked, payload } = JSON.parse(text) as { token?: unknown; payload?: unknown }
    return { token: typeof token === 'string' ? token : undefined, payload, parameters }
  } catch {
    return { token: undefined, payload: undefined, parameters }
  }
}
