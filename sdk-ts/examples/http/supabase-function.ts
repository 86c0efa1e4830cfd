/**
 * A Supabase Edge Function: supabase/functions/mail/index.ts, with `import … from 'npm:pgq'`.
 * Its endpoint has `endpoint_manual_release: true`: it answers at once, and the work may take as long as the function may run.
 */
import { createJobHandler, PgQueue, PostgresDb, z } from 'pgq'

const db = new PostgresDb(Deno.env.get('SUPABASE_DB_URL')!, { transaction_pooler: true })
const queue = new PgQueue(db, 'mail', { payload_schema: z.object({ to: z.string() }) })

Deno.serve(
  createJobHandler(queue, async ({ to }) => ({ sent: to }), {
    signing_secret: Deno.env.get('SIGNING_SECRET'),
    manual_release: true, // results are written by EdgeRuntime.waitUntil, after the answer
  }),
)
