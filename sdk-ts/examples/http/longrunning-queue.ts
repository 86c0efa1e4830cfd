/** A worker that runs for as long as its process, and needs no endpoint and no dispatcher. */
import { PgQueue, PostgresDb, startWorker } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)
const queue = new PgQueue<{ to: string }>(db, 'mail')

const worker = startWorker(queue, async ({ to }) => ({ sent: to }), { concurrency: 20 })

process.once('SIGTERM', () => worker.stop())

await worker.stopped
await db.end()
