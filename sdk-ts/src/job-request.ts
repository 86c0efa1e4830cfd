/** Reads a dispatched job from a request, and checks that it comes from a dispatcher. Mirrors functions/76-signature.sql and 77-dispatch.sql. */
import { Webhook } from 'standardwebhooks'
import { PgqError } from './errors.ts'
import type { JobHandlerSettings } from './job-handler-options.ts'
import type { RunPosition, StepState } from './run-state.ts'
import type { LeasedJob } from './worker-job.ts'

/** A job as its request tells of it. */
export interface ReceivedJob extends LeasedJob {
  readonly manual_release: boolean
}

/** Gives the job of a request, or the answer that refuses it. */
export type ReadJob = (request: Request) => Promise<ReceivedJob | Response>

/** An answer to a request that is not taken. */
export function refusal(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${message}\n`, { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers } })
}

export function createJobReader({ signing_secrets, bearer_tokens, max_request_bytes }: JobHandlerSettings): ReadJob {
  const webhooks = signing_secrets.map(webhookOf)

  return async function readJob(request) {
    if (request.method !== 'POST' && request.method !== 'GET') return refusal(405, 'jobs come by POST or GET', { allow: 'POST, GET' })
    const { headers } = request
    if (bearer_tokens.length > 0 && !hasToken(headers, bearer_tokens)) {
      return refusal(401, 'the bearer token is missing or wrong', { 'www-authenticate': 'Bearer' })
    }
    const text = request.method === 'POST' ? await readText(request, max_request_bytes) : (new URL(request.url).searchParams.get('job') ?? '')
    if (text === undefined) return refusal(413, `the request is longer than ${max_request_bytes} bytes`)
    if (webhooks.length > 0 && !isSigned(webhooks, text, headers)) return refusal(401, 'the signature is missing, wrong or too old')
    return jobOf(text) ?? refusal(400, 'the request holds no job')
  }
}

function webhookOf(secret: string): Webhook {
  try {
    return new Webhook(secret)
  } catch {
    // Without what was given, and without a cause that may show it.
    throw new PgqError('invalid_argument', 'Expected `signing_secret` to be made of whsec_ and base64, got something else')
  }
}

function isSigned(webhooks: readonly Webhook[], text: string, headers: Headers): boolean {
  const signed = Object.fromEntries(['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => [name, headers.get(name) ?? '']))
  return webhooks.some((webhook) => {
    try {
      webhook.verify(text, signed, { jsonParse: false })
      return true
    } catch {
      return false
    }
  })
}

function hasToken(headers: Headers, tokens: readonly string[]): boolean {
  const [, given = ''] = /^Bearer +(.+)$/i.exec(headers.get('authorization') ?? '') ?? []
  // All are compared, so that time tells nothing.
  return tokens.filter((token) => isSame(given, token)).length > 0
}

/** Takes the same time wherever the texts differ. */
function isSame(given: string, secret: string): boolean {
  const [a, b] = [given, secret].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array]
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i % b.length]!
  return difference === 0
}

/** The body, or undefined when it is too long. */
export async function readText({ body, headers }: Request, max_bytes: number): Promise<string | undefined> {
  if (Number(headers.get('content-length') ?? 0) > max_bytes) return undefined
  if (body === null) return ''
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let text = ''
  for (let length = 0; ; ) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    length += value.length
    if (length > max_bytes) {
      await reader.cancel()
      return undefined
    }
    text += decoder.decode(value, { stream: true })
  }
}

function jobOf(text: string): ReceivedJob | undefined {
  try {
    return receivedJob(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** The job of a parsed body, or undefined when it holds none. */
export function receivedJob(body: unknown): ReceivedJob | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const { job_id, lease_token, queue_name, attempt, max_attempts, payload, headers, timeout_milliseconds, manual_release, step } = body as Record<string, unknown>
  const numbers = [job_id, lease_token, attempt, max_attempts, timeout_milliseconds]
  if (!numbers.every((number) => Number.isSafeInteger(number)) || typeof queue_name !== 'string' || payload === undefined) return undefined
  const run = step === undefined ? undefined : positionOf(step)
  if (step !== undefined && run === undefined) return undefined
  return {
    ...({ job_id, lease_token, attempt, max_attempts, timeout_milliseconds } as Record<'job_id' | 'lease_token' | 'attempt' | 'max_attempts' | 'timeout_milliseconds', number>),
    queue_name, payload, headers: (headers ?? null) as ReceivedJob['headers'], manual_release: manual_release === true, ...(run && { run }),
  }
}

/** Where a run stands, and what its step may know: all of it comes with the request. */
function positionOf(step: unknown): RunPosition | undefined {
  if (typeof step !== 'object' || step === null) return undefined
  const { workflow, version, id, outputs, ...state } = step as Record<string, unknown>
  if (typeof workflow !== 'string' || !Number.isSafeInteger(version) || typeof id !== 'string') return undefined
  const known = { ...state, outputs: outputs ?? {} } as StepState
  return { workflow, workflow_version: version as number, step: id, state: () => Promise.resolve(known) }
}
