import dns, { type LookupAddress } from 'node:dns'
import net from 'node:net'
import { expect, test } from 'vitest'
import { createLookups } from '../src/transport-address.ts'
import { dispatch, newEndpointQueue } from './http-support.ts'
import { openDb } from './support.ts'

/** Looks up a name that leads to `addresses`. */
function lookUp(addresses: readonly string[], kind: 'any' | 'public_only', all: boolean): Promise<unknown> {
  const found = addresses.map((address): LookupAddress => ({ address, family: net.isIP(address) }))
  const lookups = createLookups({ lookup: (_hostname, _options, callback) => setTimeout(() => callback(null, found), 1) }, net)
  return new Promise((resolve) => lookups[kind]('example.org', { all }, (error, address) => resolve(error ? error.message : address)))
}

test.each([
  '8.8.8.8', '1.1.1.1', '126.255.255.255', '128.0.0.1', '172.15.0.1', '172.32.0.1', '192.167.255.255', '100.63.255.255', '100.128.0.1', '223.255.255.255', '2606:4700:4700::1111',
  '2001:4860:4860::8888', '64:ff9b::808:808',
])('a name may lead to %s', async (address) => {
  expect(await lookUp([address], 'public_only', false)).toBe(address)
})

test.each([
  '0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '169.254.169.254', '172.16.0.1', '172.31.255.255', '192.0.0.1', '192.168.0.1', '198.19.255.255', '224.0.0.1', '255.255.255.255', '::', '::1',
  '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::7f00:1', 'fc00::1', 'fd00:ec2::254', 'fe80::1', 'fec0::1', 'ff02::1', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '2002:7f00:1::', '2001:db8::1',
])('a name may lead to %s only where that is allowed', async (address) => {
  expect(await lookUp([address], 'public_only', false)).toBe('private address')
  expect(await lookUp([address], 'public_only', true)).toBe('private address')
  expect(await lookUp([address], 'any', false)).toBe(address)
})

test('of several addresses the public ones are taken', async () => {
  expect(await lookUp(['10.0.0.1', '8.8.8.8', '::1'], 'public_only', true)).toEqual([{ address: '8.8.8.8', family: 4 }])
})

test('who asks for the same name at the same time shares one look-up', async () => {
  let asked = 0
  const lookups = createLookups({
    lookup(hostname, options, callback) {
      asked++
      dns.lookup(hostname, options, callback)
    },
  }, net)
  const ask = (): Promise<unknown> => new Promise((resolve) => lookups.any('localhost', { all: true }, (_error, addresses) => resolve(addresses)))
  const [first] = await Promise.all(Array.from({ length: 10 }, ask))
  expect(first).toEqual(expect.arrayContaining([expect.objectContaining({ address: expect.stringMatching(/^(127\.0\.0\.1|::1)$/) })]))
  expect(asked).toBe(1)
  await ask()
  expect(asked).toBe(2)
})

test('a public name that leads to this machine is not followed by a dispatcher', async () => {
  const db = openDb()
  const original = dns.lookup
  const queue = await newEndpointQueue(db, 'https://rebound.example.org', { endpoint_is_insecure_allowed: false }, { max_attempts: 1 })
  try {
    dns.lookup = ((_hostname: string, _options: object, callback: (error: null, found: LookupAddress[]) => void) => callback(null, [{ address: '127.0.0.1', family: 4 }])) as typeof dns.lookup
    dispatch(db, [queue])
    expect(await queue.waitForResult((await queue.addJob({ n: 1 })).job_id)).toMatchObject({ state: 'dead', error: 'no answer: private address' })
  } finally {
    dns.lookup = original
  }
})
