import { PgQueue, PostgresDb, startWorker } from 'pgq'
import { sendMail } from './send-mail.ts'

const db = new PostgresDb(process.env.DATABASE_URL!)
const queue = new PgQueue<{ to: string }>(db, 'mail')

// Add: here, or in any other process.
const { job_id } = await queue.addJob({ to: 'ada@example.org' })

// Work. What the handler returns is kept as the job's output; an error that it throws fails the attempt.
const worker = startWorker(
  queue,
  async ({ to }, job) => {
    const answer = await sendMail(to, { signal: job.signal })
    return { answer }
  },
  { concurrency: 20 },
)
process.once('SIGTERM', () => worker.stop())

// Wait for a result.
const { state, output, error } = await queue.waitForResult(job_id)
console.log(state, output, error)

await worker.stop()
await db.end()
