import { execFile, spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PgQueue } from '../src/index.ts'
import { DATABASE_URL, openDb } from './support.ts'

/** The documentation shows nothing that does not work. Its examples have a database of their own. */
const PAGES = ['README.md', 'sdk-ts/README.md', 'extension/doc/pgq.md']
const sdk = resolve(import.meta.dirname, '..')
const examples = readdirSync(resolve(sdk, 'examples')).filter((name) => name.endsWith('.ts') && name !== 'demo.ts')
/** Servers, which examples-http.test.ts runs. */
const http_examples = readdirSync(resolve(sdk, 'examples/http')).map((name) => `http/${name}`)

const database = `docs_${process.pid}`
const url = DATABASE_URL.replace(/[^/]*$/, database)
const server = openDb()
const db = openDb({ url })

beforeAll(async () => {
  await server.exec(`CREATE DATABASE ${database}`)
  await db.exec('CREATE EXTENSION pgq')
})
afterAll(async () => {
  await db.end()
  await server.exec(`DROP DATABASE ${database} WITH (FORCE)`)
})

function blocks(page: string, language: string): string[] {
  const text = readFileSync(resolve(sdk, '..', page), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, block]) => block!)
}

test.each(examples)('the example %s runs', async (name) => {
  const tsx = resolve(sdk, 'node_modules/.bin/tsx')
  await promisify(execFile)(tsx, [`examples/${name}`], { cwd: sdk, env: { ...process.env, DATABASE_URL: url } })
}, 60_000)

// Debian's psycopg2 is that of its own Python.
const python = ['/usr/bin/python3', 'python3'].find((name) => spawnSync(name, ['-c', 'import psycopg2']).status === 0)

test.skipIf(!python)('the Python of README.md adds and works jobs', async () => {
  const queue = new PgQueue<{ to: string }>(db, 'mail')
  await queue.getConfig().set({})
  await queue.getConfig().drop({ force: true }) // What the other examples have left.
  await queue.getConfig().set({ retry_backoff: 'fixed' })
  await db.exec('DROP TABLE IF EXISTS sent_mail; CREATE TABLE sent_mail (address text UNIQUE)')
  const [shown] = blocks('README.md', 'python')
  const script = `${shown}
print(json.dumps([[add_mail("ada"), add_mail("ada")], [work_one(), work_one(), work_one()]]))`

  const { stdout } = await promisify(execFile)(python!, ['-c', script], { env: { ...process.env, DATABASE_URL: url } })

  const [[first, second], worked] = JSON.parse(stdout)
  expect(worked).toEqual([true, true, false])
  expect(await queue.getJob(first)).toMatchObject({ state: 'complete', worker: 'python' })
  expect(await queue.getJob(second)).toMatchObject({ state: 'scheduled', attempts: [{ outcome: 'failed', error: expect.stringContaining('duplicate key') }] })
  expect((await db.query({ q: 'SELECT address FROM sent_mail' })).rows).toEqual([{ address: 'ada' }])
})

test.each(PAGES)('the TypeScript of %s is part of the examples', (page) => {
  const sources = [...examples, ...http_examples].map((name) => readFileSync(resolve(sdk, 'examples', name), 'utf8'))
  const others = blocks(page, 'ts').filter((block) => !sources.some((source) => source.includes(block)))
  expect(others).toEqual([])
})

test.each(PAGES)('the SQL of %s is understood by the server', async (page) => {
  const done = new Error('roll back')
  const run = db.transaction(async (transaction) => {
    // Other examples may have made their own.
    await transaction.exec('DROP TABLE IF EXISTS customer, sent_mail')
    await transaction.exec('CREATE TABLE customer (email text, welcomed_at timestamptz); CREATE TABLE sent_mail (address text)')
    for (const block of blocks(page, 'sql')) {
      // Statements, with their strings, comments and function bodies.
      for (const statement of block.match(/(?:\$\$.*?\$\$|--[^\n]*|'[^']*'|[^;])+/gs) ?? []) {
        const bare = statement.replace(/--.*$/gm, '').trim()
        if (/^(BEGIN|COMMIT|)$/.test(bare)) continue
        await transaction.exec(/^(SELECT|INSERT|UPDATE)/.test(bare) ? `PREPARE doc AS ${bare}; DEALLOCATE doc` : bare)
      }
    }
    throw done
  })
  await expect(run).rejects.toBe(done)
})
