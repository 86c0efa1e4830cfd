/** The queue in this process, without a server. */
// ---- PGlite
import { PGlite } from '@electric-sql/pglite'
import { fromPglite, PgQueue } from 'pgq'
import { pgq } from 'pgq/pglite'

const pglite = await PGlite.create({ extensions: { pgq } })
await pglite.exec('CREATE EXTENSION pgq')
const queue = new PgQueue<{ to: string }>(fromPglite(pglite), 'mail')
// ---- The end

await queue.addJob({ to: 'ada@example.org' })
if ((await queue.stats()).ready !== 1) throw new Error('expected one job')
await pglite.close()
