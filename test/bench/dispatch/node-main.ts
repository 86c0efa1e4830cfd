/** The process of the Node dispatcher: see dispatchers.ts. */
import { PostgresDb, startDispatcher } from '../../../sdk-ts/src/index.ts'

const db = new PostgresDb(process.argv[2]!)
const dispatcher = startDispatcher(db)
process.once('SIGTERM', () => void dispatcher.stop({ hard: true }))
process.send!('started')
await dispatcher.stopped
await db.end()
process.disconnect()
