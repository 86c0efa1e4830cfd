import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { PgQueue, PgQueueConfig, type EndpointDetails } from '../src/index.ts'
import { errorOf, newQueue, openDb, queueName } from './support.ts'

const db = openDb()
const config = (): PgQueueConfig => new PgQueueConfig(db, queueName())
const URL_OK = 'https://example.org/jobs'

test('an endpoint is set with its defaults, read, replaced and removed', async () => {
  const queue = config()
  const defaults = {
    queue_name: queue.queue_name, endpoint_active: true, endpoint_url: URL_OK, endpoint_method: 'POST', endpoint_bearer_token_location: '',
    endpoint_timeout_milliseconds: 15_000, endpoint_manual_release: false, endpoint_max_in_flight: 50, endpoint_headers: {},
    endpoint_client_error_attempts: 3, endpoint_max_response_bytes: 65_536, endpoint_is_insecure_allowed: false,
    endpoint_has_bearer_token: false, endpoint_has_signing_secret: false, endpoint_has_previous_signing_secret: false,
  }
  expect(await queue.setEndpoint(true, { endpoint_url: URL_OK })).toEqual(defaults)
  const details: EndpointDetails = {
    endpoint_url: 'https://example.org/other?a=b', endpoint_method: 'GET', endpoint_bearer_token_location: 'inline', endpoint_timeout_milliseconds: 60_000,
    endpoint_manual_release: true, endpoint_max_in_flight: 7, endpoint_headers: { 'x-mine': 'yes' }, endpoint_client_error_attempts: 5,
    endpoint_max_response_bytes: 2000, endpoint_is_insecure_allowed: true,
  }
  expect(await queue.setEndpoint(false, details)).toMatchObject({ ...details, endpoint_active: false })
  expect(await queue.getEndpoint()).toMatchObject(details)
  expect(await queue.setEndpoint(true, { endpoint_url: URL_OK })).toEqual(defaults)
  await queue.setEndpointActive(false)
  expect(await queue.getEndpoint()).toMatchObject({ endpoint_active: false })
  expect(await queue.endpointStatus()).toMatchObject({ queue_name: queue.queue_name, is_active: false, in_flight: 0, breaker: 'closed', held_until: null })
  expect(await queue.removeEndpoint()).toBe(true)
  expect(await queue.removeEndpoint()).toBe(false)
  expect(await queue.endpointStatus()).toBeUndefined()
  await errorOf(queue.getEndpoint(), 'endpoint_not_found')
  await errorOf(queue.setEndpointActive(true), 'endpoint_not_found')
  await errorOf(queue.setQueueEndPointApiKey('x'), 'endpoint_not_found')
})

test('the example of the README runs as written', async () => {
  const Deno = { env: { get: (name: string): string | undefined => ({ SUPABASE_URL: 'https://example.supabase.co', SUPABASE_SERVICE_ROLE_KEY: 'the-key' })[name] } }

  const queueConfig = new PgQueueConfig(
    db,
    'test_queue_1',
    );

  await queueConfig.setEndpoint(true, {
    endpoint_method: 'POST',
    endpoint_url: `${Deno.env.get('SUPABASE_URL')}/functions/v1/job_handler_for_test_queue_1`,
    endpoint_bearer_token_location: 'inline', // can also be 'supabase_vault'
    endpoint_timeout_milliseconds: 60000,
    endpoint_manual_release: true // Indicate that the endpoint script will mark this job complete or failed (instead of the Dispatcher waiting)
});

  await queueConfig.setQueueEndPointApiKey(Deno.env.get('SUPABASE_SERVICE_ROLE_KEY') ?? '');

  expect(await queueConfig.getEndpoint()).toMatchObject({ endpoint_has_bearer_token: true, endpoint_url: 'https://example.supabase.co/functions/v1/job_handler_for_test_queue_1' })
  expect(await queueConfig.getQueueEndPointApiKey()).toBe('the-key')
})

test('token and secrets are kept, changed and removed', async () => {
  const queue = config()
  await queue.setEndpoint(true, { endpoint_url: URL_OK, endpoint_bearer_token_location: 'inline' })
  expect(await queue.getQueueEndPointApiKey()).toBeNull()
  await queue.setQueueEndPointApiKey('one')
  await queue.setQueueEndPointApiKey('two')
  expect(await queue.getQueueEndPointApiKey()).toBe('two')
  await queue.setQueueEndPointApiKey(null)
  expect(await queue.getQueueEndPointApiKey()).toBeNull()
  const secret = await queue.rotateSigningSecret()
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
  expect(await queue.getEndpoint()).toMatchObject({ endpoint_has_signing_secret: true, endpoint_has_previous_signing_secret: false })
  expect(await queue.rotateSigningSecret()).not.toBe(secret)
  expect(await queue.getEndpoint()).toMatchObject({ endpoint_has_previous_signing_secret: true })
  await queue.forgetPreviousSigningSecret()
  expect(await queue.getEndpoint()).toMatchObject({ endpoint_has_signing_secret: true, endpoint_has_previous_signing_secret: false })
})

test('a change in a transaction that rolls back has not happened', async () => {
  const queue = config()
  await expect(db.transaction(async (transaction) => {
    await queue.setEndpoint(true, { endpoint_url: URL_OK }, transaction)
    throw new Error('no')
  })).rejects.toThrow('no')
  await errorOf(queue.getEndpoint(), 'queue_not_found')
})

test('a token has no place unless one is named, and none in a Vault that is not there', async () => {
  const queue = config()
  await queue.setEndpoint(true, { endpoint_url: URL_OK })
  await errorOf(queue.setQueueEndPointApiKey('s3cret-token'), 'wrong_state')
  await errorOf((async () => {
    await queue.setEndpoint(true, { endpoint_url: URL_OK, endpoint_bearer_token_location: 'supabase_vault' })
    await queue.setQueueEndPointApiKey('s3cret-token')
  })(), 'wrong_state')
})

test.each<[title: string, details: object]>([
  ['no url', {}], ['a url of another type', { endpoint_url: 7 }], ['a detail that there is not', { endpoint_url: URL_OK, endpoint_timeout: 1 }],
  ['null', { endpoint_url: URL_OK, endpoint_headers: null }], ['another method', { endpoint_url: URL_OK, endpoint_method: 'PUT' }],
  ['another place for the token', { endpoint_url: URL_OK, endpoint_bearer_token_location: 'env' }], ['no time', { endpoint_url: URL_OK, endpoint_timeout_milliseconds: 999 }],
  ['too much time', { endpoint_url: URL_OK, endpoint_timeout_milliseconds: 900_001 }], ['no requests', { endpoint_url: URL_OK, endpoint_max_in_flight: 0 }],
  ['half a request', { endpoint_url: URL_OK, endpoint_max_in_flight: 1.5 }], ['headers that are a list', { endpoint_url: URL_OK, endpoint_headers: ['a'] }],
  ['a header that is a number', { endpoint_url: URL_OK, endpoint_headers: { a: 1 } }],
])('details that are not allowed are refused: %s', async (_title, details) => {
  await errorOf(config().setEndpoint(true, details as EndpointDetails), 'invalid_argument')
})

test('secrets stand in no error, no setting and no status', async () => {
  const queue = new PgQueue(db, queueName())
  const settings = queue.getConfig()
  const secrets = ['t0ken-in-error', 'hunter2', 'AAAAsecretAAAA']
  const seen: unknown[] = []
  const note = async (work: Promise<unknown>): Promise<void> => void seen.push(await work.catch((error: unknown) => error))
  await note(settings.setEndpoint(true, { endpoint_url: 'https://user:hunter2@example.org' }))
  await note(settings.setEndpoint(true, { endpoint_url: 'https://example.org', endpoint_headers: { authorization: 't0ken-in-error\n' } }))
  await note(settings.setQueueEndPointApiKey('t0ken-in-error'))
  await note(settings.setEndpoint(true, { endpoint_url: URL_OK, endpoint_bearer_token_location: 'inline' }))
  await note(settings.setQueueEndPointApiKey('t0ken-in-error\r\nX-Evil: 1'))
  await note(settings.setQueueEndPointApiKey('t0ken-in-error'))
  await note(settings.rotateSigningSecret('whsec_AAAAsecretAAAA*'))
  await note(settings.rotateSigningSecret(`whsec_${btoa('AAAAsecretAAAA, 32 bytes long...')}`).then(() => undefined))
  await note(settings.getEndpoint())
  await note(settings.endpointStatus())
  await note(settings.get())
  await note(queue.stats())
  // The settings have the url; an error's hidden properties are looked at too.
  const shown = inspect(seen, { depth: 10, maxStringLength: Infinity, showHidden: true })
  expect(seen.filter((one) => one instanceof Error).length).toBeGreaterThanOrEqual(4)
  for (const secret of [...secrets, btoa('AAAAsecretAAAA').slice(0, 16)]) expect(shown).not.toContain(secret)
})

test('a queue that is dropped takes its endpoint along', async () => {
  const queue = await newQueue(db)
  await queue.getConfig().setEndpoint(true, { endpoint_url: URL_OK })
  await queue.getConfig().drop()
  await errorOf(queue.getConfig().getEndpoint(), 'queue_not_found')
})
