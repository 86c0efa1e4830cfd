/** Adding jobs, reading them, steering them. Parts of it are shown in the READMEs. It leaves jobs behind: take an empty database. */
import { PgQueue, PgqError, PostgresDb, z } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)

// ---- Adding

const queue = new PgQueue<{ to: string }>(db, 'mail')

const { job_id } = await queue.addJob({ to: 'ada@example.org' })
await queue.addJob({ to: 'bob@example.org' }, { start_after: new Date(Date.now() + 60_000), priority: 10 })
await queue.addJobs([{ to: 'cy@example.org' }, { to: 'di@example.org' }], { max_attempts: 3 })

// ---- Checked payloads

const checked = new PgQueue(db, 'mail', { payload_schema: z.object({ to: z.email() }) })
try {
  await checked.addJob({ to: 'nobody' })
} catch (error) {
  if (!(error instanceof PgqError && error.code === 'payload_invalid')) throw error
  console.log(error.message)
}

// ---- Keys and groups

await queue.addJob({ to: 'ada@example.org' }, { unique_key: 'newsletter-ada', on_conflict: 'replace' })
await queue.addJob({ to: 'ada@example.org' }, { group_key: 'customer-1' })

// ---- Settings

await queue.getConfig().set({
  max_concurrency: 25, // of all workers together
  max_concurrency_per_group: 2,
  max_attempts: 5,
  timeout_milliseconds: 60_000,
})
await queue.getConfig().pause({ reason: 'the mail server moves' })
await queue.getConfig().resume()

// ---- Picking by hand

const next = await queue.pickNextJob()
if (next) {
  console.log(`attempt ${next.job.attempt} at job ${next.job.job_id}`, next.job.payload.to)
  await next.release('complete', { output: { sent: true } })
}

// ---- Reading

const job = await queue.getJob(job_id)
console.log(job.state, job.output, job.attempts)

for await (const { job_id, error } of queue.listJobs({ state: 'dead' })) console.log(job_id, error)

const { ready, running, dead } = await queue.stats()
console.log({ ready, running, dead })

// ---- Steering

const other = await queue.addJob({ to: 'eve@example.org' })
await queue.rescheduleJob(other.job_id, new Date(Date.now() + 3_600_000))
await queue.cancelJob(other.job_id, { reason: 'she has left' })
await queue.retryJob(other.job_id)
console.log(await queue.redriveJobs({ error_like: '%mail server%', preview: true }))

// ---- The end

await db.end()
