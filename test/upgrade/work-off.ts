/** Lets a worker of the SDK finish what fill.sql has left to do, and sees that each job was done once. */
import { PgQueue, PostgresDb, startWorker, type Worker } from '../../sdk-ts/src/index.ts'
import { openSession } from '../support/session.ts'
import { expectEqual } from './expect.ts'
import type { Installation } from './installation.ts'

const QUEUES = ['work', 'work groups', 'work limited']

/** Works until nothing is left in these queues; tells how many jobs that were. */
export async function workOff(made: Installation): Promise<string> {
  const url = made.cluster.url_of(made.database)
  const db = new PostgresDb(url)
  const sql = openSession(url)
  let worker: Worker | undefined
  try {
    const live = async (): Promise<number[]> =>
      (await sql`
        SELECT j.job_id FROM ${sql(made.schema)}.job AS j JOIN ${sql(made.schema)}.queue AS q USING (queue_id)
        WHERE q.queue_name = ANY (${QUEUES}) ORDER BY 1`).map(({ job_id }) => job_id)
    const expected = await live()
    const done: number[] = []
    const all_done = new Promise<void>((resolve, reject) => {
      worker = startWorker(
        QUEUES.map((name) => new PgQueue(db, name, { schema_name: made.schema })),
        (_payload, job) => {
          done.push(job.job_id)
          if (done.length === expected.length) resolve()
        },
        { concurrency: 100, poll_interval_milliseconds: 100, on_error: reject })
      setTimeout(() => reject(new Error(`${expected.length - done.length} of ${expected.length} jobs were not worked`)), 60_000).unref()
    })
    await all_done.finally(() => worker?.stop())
    expectEqual('jobs worked', done.sort((a, b) => a - b), expected)
    expectEqual('jobs left', await live(), [])
    return `${done.length} jobs worked`
  } finally {
    await sql.end()
    await db.end()
  }
}
