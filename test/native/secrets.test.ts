/** Tokens and signing secrets stand in no place that anybody but their owner reads: not in jobs, errors, logs, or schedules. */
import { existsSync, readFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PostgresDb, startDispatcher } from '../../sdk-ts/src/index.ts'
import { openSession } from '../support/session.ts'
import { startStage, type Stage } from './stage.ts'
import { until } from './until.ts'

// With what json may write in more than one way.
const TOKEN = 'token-inline/6e1f+='
const VAULT_TOKEN = 'token-vault-91ac'
const SIGNING = `whsec_${Buffer.from('signing-secret-of-32-bytes-0123456').toString('base64')}`
const SECRETS = ['token-inline', 'token-vault', SIGNING, SIGNING.slice(6), 'signing-secret-of']

const sharedir = execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--sharedir'], { encoding: 'utf8' }).trim()
const has_pg_cron = existsSync(join(sharedir, 'extension/pg_cron.control'))

let stage: Stage

beforeAll(async () => {
  // The server tells all that it can be made to tell.
  stage = await startStage({
    settings: {
      log_statement: 'all', log_min_duration_statement: 0, log_error_verbosity: 'verbose', log_parameter_max_length: -1,
      log_parameter_max_length_on_error: -1, session_preload_libraries: 'auto_explain', 'auto_explain.log_min_duration': 0,
      'auto_explain.log_nested_statements': 'on', 'auto_explain.log_verbose': 'on',
      ...(has_pg_cron ? { shared_preload_libraries: 'pg_cron', 'cron.database_name': 'postgres', 'cron.host': '127.0.0.1' } : {}),
    },
  })
  stage.cluster.psql(readFileSync(resolve(import.meta.dirname, '../support/vault.sql'), 'utf8'))
  if (has_pg_cron) stage.cluster.psql('CREATE EXTENSION pg_cron')
  // Endpoints that give away what they were sent.
  stage.endpoint.answers(({ path, headers }) => ({
    status: path.includes('bad') ? 500 : 200, headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(headers).replaceAll('/', '\\/').replaceAll('+', '\\u002B'),
  }))
})
afterAll(() => stage?.[Symbol.asyncDispose]())

const BY_PG_NET = ['good', 'bad', 'vault-good', 'vault-bad', 'refused', 'unreachable']
const BY_NODE = ['node-good', 'node-bad', 'node-vault-good', 'node-vault-bad', 'node-unreachable']

async function setEndpoints(queue_names: readonly string[]): Promise<void> {
  // Who sets a secret sees to it that his own statement is not logged.
  const quiet = openSession(stage.cluster.url, {
    settings: {
      log_statement: 'none', log_min_duration_statement: '-1', log_parameter_max_length_on_error: '0', 'auto_explain.log_verbose': 'off',
    },
  })
  for (const queue_name of queue_names) {
    const location = queue_name.includes('vault') ? 'supabase_vault' : 'inline'
    await stage.setEndpoint(queue_name, {
      bearer_token_location: location, ...(queue_name.includes('unreachable') ? { url: 'http://127.0.0.1:9/' } : {}),
    })
    await quiet`SELECT pgq.set_endpoint_bearer_token(${queue_name}, ${location === 'inline' ? TOKEN : VAULT_TOKEN})`
    await quiet`SELECT pgq.set_endpoint_signing_secret(${queue_name})`
    await quiet`SELECT pgq.set_endpoint_signing_secret(${queue_name}, ${SIGNING})`
    await quiet`SELECT FROM pgq.set_queue_config(${queue_name}, pause_between_retries_milliseconds => 0, max_attempts => 2)`
  }
  await quiet.end()
}

async function finished(queue_names: readonly string[]): Promise<number> {
  const [row] = await stage.sql<[{ finished: number }]>`
    SELECT count(*) AS finished FROM pgq.list_jobs(max_jobs => 100) AS j
    WHERE j.queue_name IN (SELECT json_array_elements_text(${JSON.stringify(queue_names)}::text::json)) AND j.state IN ('complete', 'dead')`
  return row.finished
}

/** Looks through all that can be read. */
async function secretsFound(): Promise<string[]> {
  const places = new Map<string, string>()
  const tables = await stage.sql<{ name: string }[]>`
    SELECT c.oid::regclass::text AS name FROM pg_class AS c
    WHERE c.relkind IN ('r', 'p', 'v') AND c.relnamespace IN (
        SELECT n.oid FROM pg_namespace AS n WHERE n.nspname IN ('pgq', 'net', 'cron'))
      AND c.oid <> 'pgq.endpoint_secret'::regclass`
  expect(tables.length).toBeGreaterThan(20)
  for (const { name } of tables) {
    const [{ rows }] = await stage.sql.unsafe<[{ rows: string | null }]>(`SELECT string_agg(t::text, E'\\n') AS rows FROM ${name} AS t`)
    places.set(name, rows ?? '')
  }
  for (const call of ['queue_stats()', 'endpoint_status()', 'native_health()', 'list_jobs(max_jobs => 100)', `get_endpoint('vault-good')`, `get_endpoint('good')`]) {
    const [{ rows }] = await stage.sql.unsafe<[{ rows: string }]>(`SELECT string_agg(t::text, E'\\n') AS rows FROM pgq.${call} AS t`)
    expect(rows.length).toBeGreaterThan(1)
    places.set(call, rows)
  }
  const [{ sessions }] = await stage.sql<[{ sessions: string }]>`SELECT string_agg(a::text, E'\n') AS sessions FROM pg_stat_activity AS a`
  places.set('pg_stat_activity', sessions)
  places.set('the log of the server', log())
  return [...places].flatMap(([place, text]) => SECRETS.filter((secret) => text.includes(secret)).map((secret) => `${secret} in ${place}`))
}

const log = (): string => readFileSync(resolve(stage.cluster.data_dir, '../log'), 'utf8')

test('a crowd of requests by pg_net, good and bad, leaves no secret anywhere', async () => {
  await setEndpoints(BY_PG_NET)
  // pg_net's own error tells the whole request.
  const [{ source }] = await stage.sql<[{ source: string }]>`SELECT pg_get_functiondef('net.http_post'::regproc) AS source`
  await stage.sql.unsafe(source.replace(/\nBEGIN\n/, `
BEGIN
    IF url LIKE '%/refused' THEN
        RAISE EXCEPTION 'Failing row contains (%)', headers USING ERRCODE = '23502', DETAIL = headers::text;
    END IF;
`))
  for (const queue_name of BY_PG_NET) await stage.add(queue_name)
  if (has_pg_cron) await stage.sql`SELECT FROM pgq.start_native_dispatcher()`
  await stage.dispatchUntil(async () => {
    const [row] = await stage.sql<[{ is_refused: boolean }]>`
      SELECT EXISTS (SELECT FROM pgq.endpoint_status('refused') AS s WHERE s.hold_reason LIKE 'pg_net refuses%') AS is_refused`
    return row.is_refused && (await finished(BY_PG_NET)) === BY_PG_NET.length - 1
  })
  expect(stage.endpoint.received.filter(({ headers }) => headers.authorization === `Bearer ${VAULT_TOKEN}`)).toHaveLength(3)
  // A dispatcher may be ended in the midst of it, and the server may tell of it.
  await stage.sql.unsafe(`DO $$ BEGIN PERFORM pgq._native_claim(true); RAISE division_by_zero; END $$`).catch(() => {})
  await until(() => /ERROR:  22012/.test(log()))
  expect(log()).toContain('http_request_queue')
  expect(await secretsFound()).toEqual([])

  // What is stored in clear is stored in one table, and what is in Vault not even there.
  const [{ kept }] = await stage.sql<[{ kept: string }]>`SELECT string_agg(s::text, E'\n') AS kept FROM pgq.endpoint_secret AS s`
  expect(kept).toContain(TOKEN)
  expect(kept).not.toContain(VAULT_TOKEN)
})

test('nor does one by Node', async () => {
  await setEndpoints(BY_NODE)
  for (const queue_name of BY_NODE) await stage.add(queue_name)
  const db = new PostgresDb(stage.cluster.url)
  const dispatcher = startDispatcher(db, { queue_names: BY_NODE })
  await until(async () => (await finished(BY_NODE)) === BY_NODE.length)
  await dispatcher.stop()
  await db.end()
  expect(stage.endpoint.received.filter(({ path, headers }) => path.startsWith('/node') && headers.authorization === `Bearer ${VAULT_TOKEN}`)).toHaveLength(3)
  expect(log()).toContain('pick_requests')
  expect(await secretsFound()).toEqual([])
})
