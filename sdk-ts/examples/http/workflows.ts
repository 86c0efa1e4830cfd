/** The workflows of an application, in a module of their own: endpoints, workers and whoever adds jobs share it. */
import { createMultiStepPgQueueAsRecord, PostgresDb, sleepFor, z } from 'pgq'

export const db = new PostgresDb(process.env.DATABASE_URL!)

export const workflows = {
  ...createMultiStepPgQueueAsRecord(
    db, 'signups', 'signup',
    [
      { id: 'create', handler: async ({ name }) => sleepFor(10, { customer: name.toUpperCase() }) },
      { id: 'welcome', handler: async ({ name }, _job_id, { outputs }) => ({ sent: name, ...(outputs.create as object) }) },
    ],
    z.object({ name: z.string() }),
  ),
  ...createMultiStepPgQueueAsRecord(
    db, 'signups', 'goodbye',
    [{ id: 'send', handler: async ({ name }) => ({ sent: name }) }],
    z.object({ name: z.string() }),
  ),
}
