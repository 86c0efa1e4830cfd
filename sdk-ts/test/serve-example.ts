/** Serves what an example exports, on a port that it prints: `tsx test/serve-example.ts examples/http/nextjs-route.ts`. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import process from 'node:process'
import { toNodeListener, type JobRequestHandler } from '../src/index.ts'

interface Example {
  readonly serveOverHttp?: JobRequestHandler
  readonly POST?: JobRequestHandler
  readonly default?: { fetch(request: Request, env: NodeJS.ProcessEnv): Promise<Response> }
}

const example = (await import(resolve(process.argv[2]!))) as Example
const handler = example.serveOverHttp ?? example.POST ?? ((request) => example.default!.fetch(request, process.env))
const server = createServer(toNodeListener(handler)).listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
