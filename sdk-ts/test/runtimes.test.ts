import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { closedUrl, startServer, type LocalServer } from './http-support.ts'
import { installRuntimes } from './runtimes/install.ts'
import { DATABASE_URL } from './support.ts'

/** The SDK on Node, Deno and Bun: handlers, the dispatcher, and the driver `postgres` underneath. */
const sdk = resolve(import.meta.dirname, '..')
const program = 'test/runtimes/program.ts'
let misbehaving: LocalServer
let runtimes: Awaited<ReturnType<typeof installRuntimes>>

beforeAll(async () => {
  runtimes = await installRuntimes()
  misbehaving = await startServer(({ path }, response) => {
    switch (path) {
      case '/500': return void response.writeHead(500).end('the reason')
      case '/302': return void response.writeHead(302, { location: '/500' }).end()
      case '/hang': return
      case '/half': return void response.writeHead(200, { 'content-length': '100' }).write('half')
      case '/close': return void response.destroy()
      case '/large': return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify('x'.repeat(100_000)))
      case '/endless': {
        const timer = setInterval(() => response.write('x'.repeat(1000)), 1)
        return void response.on('close', () => clearInterval(timer))
      }
    }
  })
}, 300_000)

test.each<[runtime: string, command: () => [string, ...string[]]]>([
  ['node', () => [process.execPath, '--import', 'tsx', program]],
  ['deno', () => [runtimes.deno, 'run', '--allow-all', '--quiet', program]],
  ['bun', () => [runtimes.bun, program]],
])('handler, dispatcher and worker run on %s', async (runtime, command) => {
  const [file, ...args] = command()
  const { stdout } = await promisify(execFile)(file, args, { cwd: sdk, env: { ...process.env, DATABASE_URL, ENDPOINT_URL: misbehaving.url, CLOSED_URL: await closedUrl() } })
  const { woken_after, ...rest } = JSON.parse(stdout)
  expect(rest).toEqual({
    runtime, complete: 100, retried: 2, doubled: 42, is_installed: true, last_error: null,
    found: {
      error: ['dead', expect.stringMatching(/500.*the reason/)], redirect: ['dead', expect.stringMatching(/redirect/)], hang: ['dead', 'no answer within 1000 ms'],
      half: ['dead', 'no answer within 1000 ms'], close: ['dead', 'no answer: connection closed'], endless: ['complete', null], large: ['complete', null],
      refused: ['dead', 'no answer: connection refused'], unknown: ['dead', 'no answer: host not found'],
    },
  })
  expect(woken_after).toBeLessThan(5000)
}, 120_000)
