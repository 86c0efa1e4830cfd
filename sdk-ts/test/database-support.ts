/** Databases of their own, for tests of what is installed; dropped after the tests of the file. */
import { afterAll } from 'vitest'
import type { PostgresDb } from '../src/index.ts'
import { DATABASE_URL, openDb } from './support.ts'

const databases: { readonly name: string; readonly db: PostgresDb }[] = []
afterAll(async () => {
  const server = openDb()
  for (const { name, db } of databases) {
    await db.end()
    await server.exec(`DROP DATABASE "${name}" WITH (FORCE)`)
  }
})

/** An empty database, its address and a pool of connections to it. */
export async function newDatabase(): Promise<{ readonly url: string; readonly db: PostgresDb }> {
  const name = `test_${process.pid}_${databases.length}`
  await openDb().exec(`CREATE DATABASE "${name}"`)
  const url = DATABASE_URL.replace(/[^/]*$/, name)
  const db = openDb({ url })
  databases.push({ name, db })
  return { url, db }
}
