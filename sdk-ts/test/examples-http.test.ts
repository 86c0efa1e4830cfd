import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MultiStepPgQueue, PgQueue } from '../src/index.ts'
import { closedUrl, dispatch } from './http-support.ts'
import { installRuntimes } from './runtimes/install.ts'
import { DATABASE_URL, installPlain, openDb, until } from './support.ts'

/** The examples of endpoints and dispatchers, each as its runtime runs it. They have a database of their own. */
const sdk = resolve(import.meta.dirname, '..')
const database = `http_examples_${process.pid}`
const url = DATABASE_URL.replace(/[^/]*$/, database)
const SIGNING_SECRET = `whsec_${btoa('32 bytes that nobody can know of')}`
const server = openDb()
const db = openDb({ url })
const mail = new PgQueue<{ to: string }>(db, 'mail')
/** That of examples/http/workflows.ts. */
const signup = new MultiStepPgQueue<{ name: string }>(db, 'signups', 'signup', [{ id: 'create', handler() {} }, { id: 'welcome', handler() {} }])
const processes: ChildProcess[] = []

beforeAll(async () => {
  await server.exec(`CREATE DATABASE ${database}`)
  await installPlain(db, 'pgq')
})
afterAll(async () => {
  for (const process of processes) process.kill('SIGKILL')
  await db.end()
  await server.exec(`DROP DATABASE ${database} WITH (FORCE)`)
})

interface Run {
  readonly output: () => string
  /** Asks it to end, and gives its exit code. */
  end(): Promise<number | null>
  readonly ended: Promise<number | null>
}

function run(program: string, args: readonly string[], env: Record<string, string> = {}): Run {
  const child = spawn(program, args, { cwd: sdk, env: { ...process.env, DATABASE_URL: url, SUPABASE_DB_URL: url, SIGNING_SECRET, ...env } })
  processes.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  return {
    output: () => output,
    ended,
    end() {
      child.kill('SIGTERM')
      return ended
    },
  }
}

const node = (file: string, env?: Record<string, string>, ...args: string[]): Run => run(process.execPath, ['--import', 'tsx', file, ...args], env)

/** Sends a job to an endpoint of queue `mail`. */
async function sendTo(endpoint_url: string, details = {}, payload = { to: 'ada@example.org' }) {
  await mail.getConfig().setEndpoint(true, { endpoint_url, endpoint_is_insecure_allowed: true, ...details })
  await using _dispatcher = dispatch(db, [mail])
  return await mail.waitForResult((await mail.addJob(payload)).job_id)
}

async function answers(endpoint: string): Promise<boolean> {
  return fetch(endpoint).then(() => true, () => false)
}

test('set-endpoint.ts sets an endpoint', async () => {
  const { ended, output } = node('examples/http/set-endpoint.ts')
  expect(await ended, output()).toBe(0)
  expect(await mail.getConfig().getEndpoint()).toMatchObject({ endpoint_url: 'https://example.org/api/jobs', endpoint_has_signing_secret: true })
}, 60_000)

test.each(['endpoint-queue.ts', 'nextjs-route.ts', 'cloudflare-worker.ts'])('%s handles a job, and refuses who cannot sign', async (name) => {
  const example = node('test/serve-example.ts', {}, `examples/http/${name}`)
  const port = await until(() => /^(\d+)$/m.exec(example.output())?.[1], 30_000)
  const endpoint = `http://127.0.0.1:${port}`
  expect(await sendTo(endpoint)).toMatchObject({ state: 'complete', attempt: 1, output: { sent: 'ada@example.org' } })
  expect((await fetch(endpoint, { method: 'POST', body: '{}' })).status).toBe(401)
  if (name === 'endpoint-queue.ts') expect(await sendTo(endpoint, {}, { to: 'nobody' })).toMatchObject({ state: 'dead', attempt: 1, error: 'no address: nobody' })
  await example.end()
}, 60_000)

test('endpoint-queue-by-hand.ts releases the job itself', async () => {
  const example = node('test/serve-example.ts', {}, 'examples/http/endpoint-queue-by-hand.ts')
  const port = await until(() => /^(\d+)$/m.exec(example.output())?.[1], 30_000)
  expect(await sendTo(`http://127.0.0.1:${port}`, { endpoint_manual_release: true })).toMatchObject({ state: 'complete', attempt: 1 })
  await example.end()
}, 60_000)

test('express.ts handles a job, and ends when it is told', async () => {
  const address = await closedUrl()
  const example = node('examples/http/express.ts', { PORT: new URL(address).port })
  await until(() => answers(address), 30_000)
  expect(await sendTo(`${address}/jobs`)).toMatchObject({ state: 'complete', attempt: 1, output: { sent: 'ada@example.org' } })
  expect(await example.end(), example.output()).toBe(0)
}, 60_000)

test('supabase-function.ts handles a job in Deno', async () => {
  const address = await closedUrl()
  const imports = JSON.stringify({ imports: { pgq: `file://${sdk}/src/index.ts` } })
  const example = run((await installRuntimes()).deno, ['run', '--allow-all', '--quiet', `--import-map=data:application/json,${encodeURIComponent(imports)}`, 'examples/http/supabase-function.ts'], {
    DENO_SERVE_ADDRESS: `tcp:${new URL(address).host}`,
  })
  await until(() => answers(address), 30_000).catch(() => expect.fail(example.output()))
  expect(await sendTo(address, { endpoint_manual_release: true })).toMatchObject({ state: 'complete', attempt: 1, output: { sent: 'ada@example.org' } })
  await example.end()
}, 300_000)

test('longrunning-dispatcher.ts and endpoint-poll.ts send jobs, and end', async () => {
  const handler = node('test/serve-example.ts', {}, 'examples/http/endpoint-queue.ts')
  const port = await until(() => /^(\d+)$/m.exec(handler.output())?.[1], 30_000)
  await mail.getConfig().setEndpoint(true, { endpoint_url: `http://127.0.0.1:${port}`, endpoint_is_insecure_allowed: true })

  const longrunning = node('examples/http/longrunning-dispatcher.ts')
  expect(await mail.waitForResult((await mail.addJob({ to: 'ada@example.org' })).job_id)).toMatchObject({ state: 'complete' })
  expect(await longrunning.end(), longrunning.output()).toBe(0)

  const poll = node('test/serve-example.ts', { EXIT_AFTER_SECONDS: '2' }, 'examples/http/endpoint-poll.ts')
  const poll_port = await until(() => /^(\d+)$/m.exec(poll.output())?.[1], 30_000)
  const { job_id } = await mail.addJob({ to: 'ada@example.org' })
  const response = await fetch(`http://127.0.0.1:${poll_port}`, { method: 'POST' })
  expect(await response.json()).toMatchObject({ sent: 1, complete: 1 })
  expect(await mail.getJob(job_id)).toMatchObject({ state: 'complete' })
  await Promise.all([poll.end(), handler.end()])
}, 60_000)

test('longrunning-queue.ts works jobs, and ends', async () => {
  await mail.getConfig().removeEndpoint()
  const example = node('examples/http/longrunning-queue.ts')
  expect(await mail.waitForResult((await mail.addJob({ to: 'ada@example.org' })).job_id)).toMatchObject({ state: 'complete', output: { sent: 'ada@example.org' } })
  expect(await example.end(), example.output()).toBe(0)
}, 60_000)

test.each(['endpoint-multi-step-queue.ts', 'endpoint-multi-step-queue-by-hand.ts'])('%s does the steps of a run', async (name) => {
  const example = node('test/serve-example.ts', {}, `examples/http/${name}`)
  const port = await until(() => /^(\d+)$/m.exec(example.output())?.[1], 30_000)
  const config = signup.getRawQueue().getConfig()
  const endpoint = { endpoint_url: `http://127.0.0.1:${port}`, endpoint_is_insecure_allowed: true }
  await config.setEndpoint(true, { ...endpoint, endpoint_manual_release: name.includes('by-hand') })
  await config.rotateSigningSecret(SIGNING_SECRET)
  await using _dispatcher = dispatch(db, [signup])
  const { job_id } = await signup.addJob({ name: 'Ada' })
  expect(await signup.waitForResult(job_id)).toMatchObject({ state: 'complete', attempt: 1, output: { sent: 'Ada', customer: 'ADA' } })
  await config.removeEndpoint()
  await example.end()
}, 60_000)

test.each(['longrunning-multi-step-queue.ts', 'longrunning-multi-step-queue-by-hand.ts'])('%s does the steps of a run, and ends', async (name) => {
  const example = node(`examples/http/${name}`)
  const { job_id } = await signup.addJob({ name: 'Ada' })
  expect(await signup.waitForResult(job_id)).toMatchObject({ state: 'complete', output: { sent: 'Ada', customer: 'ADA' } })
  expect(await example.end(), example.output()).toBe(0)
}, 60_000)
