/** The endpoint of a queue: for every runtime with Web-standard requests. */
import { completeJobAndAdd, createJobHandler, failJob, PgQueue, PostgresDb, z } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)
const queue = new PgQueue(db, 'mail', { payload_schema: z.object({ to: z.string() }) })

export const serveOverHttp = createJobHandler(
  queue,
  async ({ to }, job) => {
    if (!to.includes('@')) return failJob(`no address: ${to}`, { retry: false })
    if (job.attempt > 3) return completeJobAndAdd('given up', [{ queue_name: 'complaints', payload: { to } }])
    return { sent: to }
  },
  { signing_secret: process.env.SIGNING_SECRET },
)
