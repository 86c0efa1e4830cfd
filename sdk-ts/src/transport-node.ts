/**
 * The http client of Node: a request takes a quarter of the processor time of Node's fetch. It is asked for at run time, so
 * that nothing is imported: elsewhere, and before Node 20.16, there is none, and fetch does it. Mirrors no SQL file.
 */
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { DispatchRequest } from './dispatch-source.ts'
import { createLookups, type DnsModule, type NetModule } from './transport-address.ts'
import { MEANINGFUL_HEADERS, OWN_HEADERS, type Received, type Transport } from './transport.ts'

interface HttpModule {
  readonly Agent: new (options: object) => Agent
  request(url: string, options: RequestOptions): ClientRequest
}

interface Builtins {
  readonly 'node:http': HttpModule
  readonly 'node:https': HttpModule
  readonly 'node:dns': DnsModule
  readonly 'node:net': NetModule
}

/** Undefined where the runtime is not Node. */
export function nodeTransport(): Transport | undefined {
  const { process, Deno, Bun } = globalThis as {
    process?: { getBuiltinModule?: <Id extends keyof Builtins>(id: Id) => Builtins[Id] }
    Deno?: unknown
    Bun?: unknown
  }
  if (Deno !== undefined || Bun !== undefined || process?.getBuiltinModule === undefined) return undefined
  const [http, https] = [process.getBuiltinModule('node:http'), process.getBuiltinModule('node:https')]
  return createNodeTransport(http, https, createLookups(process.getBuiltinModule('node:dns'), process.getBuiltinModule('node:net')))
}

function createNodeTransport(http: HttpModule, https: HttpModule, lookups: ReturnType<typeof createLookups>): Transport {
  const agentsOf = ({ Agent }: HttpModule) => ({
    // Connections are not shared between endpoints that may lead anywhere and those that may not.
    any: new Agent({ keepAlive: true, lookup: lookups.any }), public_only: new Agent({ keepAlive: true, lookup: lookups.public_only }),
  })
  const [plain, secure] = [agentsOf(http), agentsOf(https)]

  /** `is_retry`: the server closed the connection just when it was used again: see `isStale`. */
  function send(request: DispatchRequest, signal: AbortSignal, is_retry = false): Promise<Received> {
    const { method, url, body, max_response_bytes } = request
    const headers = { ...request.headers, ...OWN_HEADERS }
    const is_secure = /^https:/i.test(url)
    const agent = (is_secure ? secure : plain)[request.is_insecure_allowed ? 'any' : 'public_only']
    return new Promise<Received>((resolve, reject) => {
      const outgoing = (is_secure ? https : http).request(url, { method, headers, agent })
      const abort = (): void => void outgoing.destroy(signal.reason as Error)
      const settle = <Value>(tell: (value: Value) => void) => (value: Value): void => {
        signal.removeEventListener('abort', abort)
        tell(value)
      }
      let has_answer = false
      outgoing.on('response', (incoming) => {
        has_answer = true
        readAnswer(incoming, max_response_bytes).then(settle(resolve), settle(reject))
      })
      outgoing.on('error', (error) => {
        // What is wrong after the answer has begun is told by the answer.
        if (has_answer) return
        if (is_retry || signal.aborted || !isStale(outgoing, error)) settle(reject)(error)
        else settle(resolve)(send(request, signal, true))
      })
      // A server that wants another protocol (101) ends it with neither an answer nor an error.
      outgoing.on('close', () => has_answer || settle(reject)(new Error('invalid HTTP')))
      if (signal.aborted) abort()
      else signal.addEventListener('abort', abort, { once: true })
      outgoing.end(body ?? undefined)
    })
  }

  return {
    send: (request, signal) => send(request, signal),
    close() {
      for (const agent of [plain.any, plain.public_only, secure.any, secure.public_only]) agent.destroy()
    },
  }
}

/** The server had closed an idle connection before the request came: on a new one it has its first try. */
function isStale(outgoing: ClientRequest, error: Error & { code?: string }): boolean {
  return outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
}

function readAnswer(incoming: IncomingMessage, max_bytes: number): Promise<Received> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let length = 0

    function end(body_is_cut: boolean): void {
      const headers: Record<string, string> = {}
      for (const name of MEANINGFUL_HEADERS) {
        const value = incoming.headers[name]
        if (value !== undefined) headers[name] = value
      }
      const body = new TextDecoder().decode(chunks.length === 1 ? chunks[0] : joined(chunks, length))
      resolve({ status_code: incoming.statusCode!, headers, body, body_is_cut })
    }

    incoming.on('data', (chunk: Uint8Array) => {
      if (length + chunk.length <= max_bytes) {
        chunks.push(chunk)
        length += chunk.length
        return
      }
      chunks.push(chunk.subarray(0, max_bytes - length))
      length = max_bytes
      end(true)
      // The rest may never end: nobody waits for it.
      incoming.destroy()
    })
    incoming.on('end', () => end(false))
    incoming.on('error', reject)
  })
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}
