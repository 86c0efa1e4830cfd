/** pgq as plain SQL, brought to the version of the package whenever the program starts. */
// ---- Install
import { install, installedVersion, PgQueue, PostgresDb } from 'pgq'
import { pgcFileReaderNode } from 'pgq/node'

const db = new PostgresDb(process.env.DATABASE_URL!)
await install(pgcFileReaderNode, db, { schema_name: 'my_jobs' })
const queue = new PgQueue<{ to: string }>(db, 'mail', 'my_jobs')
// ---- The end

if ((await installedVersion(db, { schema_name: 'my_jobs' })) === undefined) throw new Error('expected pgq to be installed')
await queue.addJob({ to: 'ada@example.org' })
await db.end()
