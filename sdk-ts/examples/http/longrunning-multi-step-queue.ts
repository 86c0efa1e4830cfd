/** A worker of workflows that runs for as long as its process. Run as many as you like. */
import { startWorker } from 'pgq'
import { db, workflows } from './workflows.ts'

const worker = startWorker(Object.values(workflows), { concurrency: 20 })

process.once('SIGTERM', () => worker.stop())

await worker.stopped
await db.end()
