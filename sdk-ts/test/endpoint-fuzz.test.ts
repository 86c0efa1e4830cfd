import { expect, test } from 'vitest'
import { PgQueueConfig, PgqError } from '../src/index.ts'
import { chanceOf, chooseSeed } from '../../test/support/random.ts'
import { dispatch, newEndpointQueue, startServer } from './http-support.ts'
import { openDb, queueName } from './support.ts'

/**
 * Urls and headers as nobody should set them. What is accepted must be what the runtime makes of it (WHATWG URL): a public
 * host by https, with nothing hidden in it.
 */
const db = openDb()
const config = new PgQueueConfig(db, queueName())
const seed = chooseSeed()

async function accepts(endpoint_url: string, endpoint_headers: Record<string, string> = {}): Promise<boolean> {
  try {
    await config.setEndpoint(true, { endpoint_url, endpoint_headers })
    return true
  } catch (error) {
    if (error instanceof PgqError && error.code === 'invalid_argument') return false
    throw error
  }
}

test.each([
  'https://example.org', 'https://example.org/', 'https://example.org:8443/a/b?c=d&e=%20', 'https://sub.domain-1.example.org/x', 'https://8.8.8.8/dns', 'https://[2001:4860:4860::8888]/',
  'https://xn--bcher-kva.example/', 'https://example.org/functions/v1/mail',
])('an ordinary url is accepted: %s', async (url) => {
  expect(await accepts(url)).toBe(true)
})

const HOSTILE = [
  '', ' ', 'example.org', '//example.org', 'http://example.org', 'ftp://example.org', 'file:///etc/passwd', 'javascript:alert(1)', 'data:text/plain,x', 'https:', 'https://', 'https:///x',
  'https://user@example.org', 'https://user:pass@example.org', 'https://@example.org', 'https://:@example.org', 'https://example.org@127.0.0.1', 'https://example.org#fragment',
  'https://exam ple.org', 'https://example.org/a b', 'https://example.org/\n', 'https://example.org/\r\nX-Evil: 1', 'https://example.org/\u0000', 'https://exa\tmple.org', 'https://example.org\\@127.0.0.1',
  'https:\\\\127.0.0.1', 'https:/127.0.0.1', 'https:127.0.0.1', '\thttps://127.0.0.1', 'https://localhost', 'https://LOCALHOST:8080', 'https://localhost.', 'https://a.localhost', 'https://printer.local',
  'https://metadata.google.internal', 'https://127.0.0.1', 'https://127.1', 'https://127.0.1', 'https://2130706433', 'https://0x7f000001', 'https://0x7f.1', 'https://0177.0.0.1', 'https://017700000001',
  'https://127.0.0.1.', 'https://0', 'https://0.0.0.0', 'https://10.0.0.1', 'https://172.16.0.1', 'https://172.31.255.255', 'https://192.168.1.1', 'https://169.254.169.254/latest/meta-data', 'https://100.64.0.1',
  'https://[::1]', 'https://[::]', 'https://[0:0:0:0:0:0:0:1]', 'https://[fe80::1]', 'https://[fc00::1]', 'https://[fd12:3456::1]', 'https://[::ffff:127.0.0.1]', 'https://[::ffff:7f00:1]', 'https://[::127.0.0.1]',
  'https://[64:ff9b::7f00:1]', 'https://[fe80::1%25eth0]', 'https://①②⑦.0.0.1', 'https://127。0。0。1', 'https://ⓛocalhost', 'https://%31%32%37.0.0.1', 'https://loc%61lhost', 'https://example.org:99999', 'https://example.org:0x50',
  'https://224.0.0.1', 'https://255.255.255.255', 'https://198.18.0.1', 'https://[ff02::1]', `https://${'a'.repeat(3000)}.org`,
]

test.each(HOSTILE.map((url) => [url]))('a hostile url is refused: %j', async (url) => {
  expect(await accepts(url)).toBe(false)
})

const PRIVATE = /^(((127|10|0)\.\d+|192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))\.\d+\.\d+|\[::1?\]|\[::ffff:.*|\[f[cde].*)$|(^|\.)(localhost|local|internal)\.?$/

test('what is accepted of mutated urls is public, https and plain in the eyes of the runtime', async () => {
  const chance = chanceOf(seed)
  const parts = ['https', 'http', 'HTTPS', ':', '/', '\\', '@', '#', '?', '%', '[', ']', '.', '0', '1', '127.0.0.1', '10.1', '0x7f', 'localhost', 'example.org', 'a', 'é', '。', '\t', '\n', ' ', '::1', '::ffff:', '%2e', '%00', '&', '=', ';', '"']
  let accepted = 0
  for (let n = 0; n < 1500; n++) {
    const base = chance.oneOf(['https://example.org/a?b=c', 'https://8.8.8.8/', 'https://[2001:db8::1]/', 'https://127.0.0.1/', 'https://sub.example.org:8443/x'])
    let url = base
    for (let changes = chance.between(1, 3); changes > 0; changes--) {
      const at = chance.between(0, url.length)
      url = url.slice(0, at) + chance.oneOf(parts) + url.slice(at + chance.between(0, 2))
    }
    if (!(await accepts(url))) continue
    accepted++
    const parsed = new URL(url)
    const shown = `PGQ_TEST_SEED=${seed}: ${JSON.stringify(url)}`
    expect(parsed.protocol, shown).toBe('https:')
    expect([parsed.username, parsed.password, parsed.hash], shown).toEqual(['', '', ''])
    expect(parsed.hostname, shown).not.toMatch(PRIVATE)
    // The runtime reads the host as it was checked: nothing was normalised into something else (but 8.8 into 8.0.0.8).
    if (!/^\d+\.\d+\.\d+\.\d+$/.test(parsed.hostname)) expect(url.toLowerCase().startsWith(`https://${parsed.hostname}`), `${shown} ${parsed.hostname}`).toBe(true)
  }
  expect(accepted).toBeGreaterThan(50)
}, 120_000)

test.each<[name: string, value: string]>([
  ['content-type', 'text/plain'], ['Content-Length', '1'], ['HOST', 'evil'], ['transfer-encoding', 'chunked'], ['connection', 'close'], ['webhook-id', 'x'], ['Webhook-Signature', 'x'],
  ['webhook-timestamp', '1'], ['a b', 'x'], ['', 'x'], ['a:', 'x'], ['a\r\nb', 'x'], ['é', 'x'], ['a(b)', 'x'], ['x-a', 'x\r\nX-Evil: 1'], ['x-a', 'x\ny'], ['x-a', 'x\u0000'], ['x-a', 'é\u0100'],
  ['x-a', '\u007f'],
])('a header that is not ours to set, or cannot be sent, is refused: %j', async (name, value) => {
  expect(await accepts('https://example.org', { [name]: value })).toBe(false)
})

test('whatever headers are accepted arrive as they were set', async () => {
  const chance = chanceOf(seed)
  const names = ['x-a', 'X-B', "x-!#$%&'*+-.^_`|~9", 'accept', 'x-c\t', 'x d', 'cookie', 'x-é', 'keep-alive', 'te', 'upgrade', 'expect', 'trailer', 'proxy-authorization']
  const values = ['a', 'A b', '', ' ', ' padded ', 'tab\there', '"quoted"; a=1', '~'.repeat(500), 'é', '\r\n', '\u0001', '%0d%0a', '100-continue']
  const server = await startServer((_request, response) => void response.end())
  const queue = await newEndpointQueue(db, server.url)
  dispatch(db, [queue], { poll_interval_milliseconds: 20 })
  for (let n = 0; n < 200; n++) {
    const headers = Object.fromEntries(Array.from({ length: chance.between(1, 2) }, () => [chance.oneOf(names), chance.oneOf(values)]))
    try {
      await queue.getConfig().setEndpoint(true, { endpoint_url: server.url, endpoint_is_insecure_allowed: true, endpoint_headers: headers })
    } catch {
      continue
    }
    const job = await queue.waitForResult((await queue.addJob({ n })).job_id)
    expect(job, `PGQ_TEST_SEED=${seed}: ${JSON.stringify(headers)}`).toMatchObject({ state: 'complete', attempt: 1 })
    for (const [name, value] of Object.entries(headers)) expect(server.arrived.at(-1)!.headers[name.toLowerCase()], `PGQ_TEST_SEED=${seed}: ${JSON.stringify(headers)}`).toBe(value.trim())
  }
  expect(server.arrived.length).toBeGreaterThan(5)
}, 60_000)

test('a header of a job that is no trace is not sent, and cannot break the request', async () => {
  const server = await startServer((_request, response) => void response.end())
  const queue = await newEndpointQueue(db, server.url)
  dispatch(db, [queue])
  for (const traceparent of ['a\r\nX-Evil: 1', 'é\u0100', 7, null, { a: 1 }, ['x'], 'x'.repeat(10_000)]) {
    const job = await queue.waitForResult((await queue.addJob({ n: 1 }, { headers: { traceparent, tracestate: traceparent } })).job_id)
    expect(job, String(traceparent)).toMatchObject({ state: 'complete', attempt: 1 })
    expect(server.arrived.at(-1)!.headers).not.toHaveProperty('x-evil')
  }
})
