/** Jobs and your own writes in one transaction, with several drivers. It leaves jobs behind: take an empty database. */
import { fromPg, fromPostgresTransaction, PgQueue, PostgresDb, startWorker } from 'pgq'
import pg from 'pg'
import postgres from 'postgres'

const url = process.env.DATABASE_URL!

// ---- Adding in a transaction

const db = new PostgresDb(url)
const queue = new PgQueue<{ customer_id: number }>(db, 'welcome')

await db.exec('CREATE TABLE IF NOT EXISTS customer (customer_id integer, welcomed_at timestamptz)')

await db.transaction(async (transaction) => {
  await transaction.query({ q: 'INSERT INTO customer (customer_id) VALUES ($1)', args: ['7'] })
  await queue.addJob({ customer_id: 7 }, { transaction }) // no customer, no job
})

// ---- Releasing in a transaction

const worker = startWorker(queue, async ({ customer_id }, job) => {
  await db.transaction(async (transaction) => {
    await transaction.query({ q: 'UPDATE customer SET welcomed_at = now() WHERE customer_id = $1', args: [`${customer_id}`] })
    await job.release('complete', { transaction }) // if the lease is lost this throws, and the update is rolled back
  })
})

// ---- The package postgres

const sql = postgres(url)
await sql.begin(async (begun) => {
  await begun`INSERT INTO customer (customer_id) VALUES (${8})`
  await queue.addJob({ customer_id: 8 }, { transaction: fromPostgresTransaction(begun) })
})

// ---- The package pg

const pool = new pg.Pool({ connectionString: url })
const client = await pool.connect()
await client.query('BEGIN')
await client.query('INSERT INTO customer (customer_id) VALUES ($1)', [9])
await queue.addJob({ customer_id: 9 }, { transaction: fromPg(client) })
await client.query('COMMIT')
client.release()

// ---- The end

for await (const { job_id } of queue.listJobs()) await queue.waitForResult(job_id)
const { rows } = await db.query({ q: 'SELECT customer_id FROM customer WHERE welcomed_at IS NULL' })
if (rows.length > 0) throw new Error('a customer was not welcomed')

await worker.stop()
await Promise.all([db.end(), sql.end(), pool.end()])
