import { Webhook } from 'standardwebhooks'
import { expect, test } from 'vitest'
import { dispatch, jobOf, newEndpointQueue, startServer, type Arrived } from './http-support.ts'
import { openDb } from './support.ts'

/** Signatures as Standard Webhooks has them, judged by its own package, byte for byte. */
const db = openDb()

const signed = (request: Arrived): string => (request.method === 'GET' ? new URL(request.path, 'http://x').searchParams.get('job')! : request.body)

/** Throws unless `request` is signed with `secret`. */
function verify(secret: string, request: Arrived): unknown {
  return new Webhook(secret).verify(signed(request), request.headers as Record<string, string>)
}

/** What the package makes of the same message. */
function expectedSignature(secret: string, request: Arrived): string {
  const at = new Date(Number(request.headers['webhook-timestamp']) * 1000)
  return new Webhook(secret).sign(String(request.headers['webhook-id']), at, signed(request))
}

async function signedQueue(method: 'POST' | 'GET' = 'POST') {
  const server = await startServer((_request, response) => void response.end())
  const queue = await newEndpointQueue<unknown>(db, server.url, { endpoint_method: method })
  const secret = await queue.getConfig().rotateSigningSecret()
  dispatch(db, [queue])
  return { queue, secret, arrived: server.arrived }
}

test.each([
  ['plain', { n: 1 }],
  ['letters of all kinds', { text: 'née 日本語 🎈 \u2028 \u00a0', key: { 'ключ': 'Ⱦ' } }],
  ['escapes', 'quote " backslash \\ slash / tab \t newline \n return \r bell \u0007 delete \u007f'],
  ['numbers', [0, -0.5, 1e21, 1e-7, 9007199254740991, 0.1]],
  ['nothing', null],
  ['long', { text: 'x'.repeat(100_000), list: Array.from({ length: 1000 }, (_, n) => n) }],
] as const)('a body is signed byte for byte: %s', async (_title, payload) => {
  const { queue, secret, arrived } = await signedQueue()
  await queue.waitForResult((await queue.addJob(payload)).job_id)
  const [request] = arrived as [Arrived]
  expect(request.headers['webhook-signature']).toBe(expectedSignature(secret, request))
  expect(verify(secret, request)).toEqual(JSON.parse(request.body))
  expect(jobOf(request).payload).toEqual(payload)
})

test('with GET the job in the query is signed', async () => {
  const { queue, secret, arrived } = await signedQueue('GET')
  await queue.waitForResult((await queue.addJob({ text: '100 % née & 🎈 +' })).job_id)
  expect(verify(secret, arrived[0]!)).toMatchObject({ payload: { text: '100 % née & 🎈 +' } })
})

test('a changed body, a wrong secret and another id are noticed', async () => {
  const { queue, secret, arrived } = await signedQueue()
  await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  const [request] = arrived as [Arrived]
  expect(() => verify(secret, { ...request, body: request.body.replace('1', '2') })).toThrow('No matching signature')
  expect(() => verify(`whsec_${btoa('x'.repeat(32))}`, request)).toThrow('No matching signature')
  expect(() => verify(secret, { ...request, headers: { ...request.headers, 'webhook-id': 'job_x' } })).toThrow('No matching signature')
})

test('the id stays the same over retries, the timestamp is that of the sending', async () => {
  const server = await startServer((_request, response) => void response.writeHead(server.arrived.length === 1 ? 500 : 200).end())
  const queue = await newEndpointQueue(db, server.url)
  const secret = await queue.getConfig().rotateSigningSecret()
  dispatch(db, [queue])
  await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  const [first, second] = server.arrived as [Arrived, Arrived]
  expect(first.headers['webhook-id']).toBe(second.headers['webhook-id'])
  expect(jobOf(second)).toMatchObject({ attempt: 2 })
  for (const request of [first, second]) {
    verify(secret, request)
    expect(Math.abs(Number(request.headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(30)
  }
})

test('two secrets sign while they are changed over, and the old one no more afterwards', async () => {
  const { queue, secret: first, arrived } = await signedQueue()
  const config = queue.getConfig()
  const send = async (): Promise<Arrived> => {
    await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
    return arrived.at(-1)!
  }
  const second = await config.rotateSigningSecret()
  const both = await send()
  expect(String(both.headers['webhook-signature']).split(' ')).toEqual([expectedSignature(second, both), expectedSignature(first, both)])
  verify(first, both)
  verify(second, both)

  await config.forgetPreviousSigningSecret()
  const one = await send()
  verify(second, one)
  expect(() => verify(first, one)).toThrow('No matching signature')

  const mine = `whsec_${btoa('a secret of my own, 32 bytes long')}`
  expect(await config.rotateSigningSecret(mine)).toBe(mine)
  expect(await config.rotateSigningSecret(mine)).toBe(mine) // The same again, as at each deployment, forgets nothing.
  const third = await send()
  verify(mine, third)
  verify(second, third)
})

test('without a secret nothing is signed', async () => {
  const server = await startServer((_request, response) => void response.end())
  const queue = await newEndpointQueue(db, server.url)
  dispatch(db, [queue])
  await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)
  expect(server.arrived[0]!.headers).not.toHaveProperty('webhook-signature')
})
