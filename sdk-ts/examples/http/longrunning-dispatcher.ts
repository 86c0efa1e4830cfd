/** A dispatcher that runs for as long as its process. Run as many as you like. */
import { PostgresDb, startDispatcher } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)
const dispatcher = startDispatcher(db, { logger: console })

process.once('SIGTERM', () => dispatcher.stop())

await dispatcher.stopped
await db.end()
