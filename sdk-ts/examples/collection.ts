/** A client creates a new thing: it inserts a row, a workflow works on it in the background, and the result appears in the row. */
import { addJobOnChange, MultiStepPgQueue, PostgresDb, removeJobOnChange, startWorker, steps, z } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)
await db.exec('DROP TABLE IF EXISTS bundle; CREATE TABLE bundle (bundle_id integer PRIMARY KEY, bundle_name text, description text)')

// ---- The workflow

const bundles = new MultiStepPgQueue(
  db, 'bundles', 'describe',
  steps(z.object({ bundle_id: z.number(), bundle_name: z.string() }))
    .step({ id: 'think', handler: async ({ bundle_name }) => `All that ${bundle_name} needs` })
    .step({
      id: 'write',
      handler: ({ bundle_id }, _job_id, { outputs, finish }) =>
        db.transaction(async (transaction) => {
          const args = [outputs.think, `${bundle_id}`]
          await transaction.query({ q: 'UPDATE bundle SET description = $1 WHERE bundle_id = $2::text::integer', args })
          await finish('described', { transaction }) // the row is written and the run is complete: both, or neither
        }),
    }),
)

// Once, when you deploy: each new row starts a run, in the transaction that inserts it.
await addJobOnChange(bundles, { name: 'new bundles', table_name: 'bundle' }, { events: ['insert'], payload_columns: ['bundle_id', 'bundle_name'] })

const worker = startWorker(bundles)

// ---- The client, which knows nothing of queues

await db.query({ q: 'INSERT INTO bundle (bundle_id, bundle_name) VALUES (1, $1)', args: ['Customer X'] })

// ---- The end

for await (const { job_id } of bundles.getRawQueue().listJobs()) await bundles.waitForResult(job_id)
const { rows } = await db.query<{ description: string }>({ q: 'SELECT description FROM bundle' })
if (rows[0]?.description !== 'All that Customer X needs') throw new Error(`expected the bundle to be described, got ${rows[0]?.description}`)
await worker.stop()
await removeJobOnChange(db, 'new bundles')
await db.exec('DROP TABLE bundle')
await db.end()
