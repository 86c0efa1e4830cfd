/** A server with Express, or with Node's http module alone: `createServer(toNodeListener(handle))`. */
import express from 'express'
import { createJobHandler, PgQueue, PostgresDb, toNodeListener, z } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)
const queue = new PgQueue(db, 'mail', { payload_schema: z.object({ to: z.string() }) })

const handle = createJobHandler(queue, async ({ to }) => ({ sent: to }), { signing_secret: process.env.SIGNING_SECRET })

const app = express()
app.post('/jobs', toNodeListener(handle)) // before express.json(): signatures cover the bytes
const server = app.listen(Number(process.env.PORT ?? 3000))

process.once('SIGTERM', () => {
  server.close(() => db.end())
})
