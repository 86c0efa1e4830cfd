/** More about workers. It leaves jobs behind: take an empty database. */
import { completeJob, failJob, pauseJob, PgQueue, PostgresDb, startWorker } from 'pgq'
import { sendMail } from './send-mail.ts'

const db = new PostgresDb(process.env.DATABASE_URL!)
const queue = new PgQueue<{ to: string }>(db, 'mail')

// ---- Outcomes

const worker = startWorker(queue, async ({ to }, job) => {
  if (!to.includes('@')) return failJob(`no address: ${to}`, { retry: false }) // dead at once
  if (isNight()) return pauseJob({ delay_milliseconds: 3_600_000 }) // back to the line, no attempt used
  if (job.attempt > 3) return failJob('still busy', { delay_milliseconds: 60_000 }) // a pause of its own
  return completeJob(await sendMail(to, job)) // the same as returning the text
})

// ---- Several queues

const reports = new PgQueue<{ month: string }>(db, 'reports')

const both = startWorker([queue, reports], async (payload, job) => {
  if ('month' in payload) return `report of ${payload.month}`
  return sendMail(payload.to, job)
})

// ---- Stopping

await worker.stop({ timeout_milliseconds: 10_000 }) // jobs that run longer are aborted and given back
await both.stop({ hard: true }) // all of them at once

// ---- The end

await db.end()

function isNight(): boolean {
  return new Date().getHours() < 6
}
