/** The queues of the demo: named so that they are nobody else's, dropped before and after. */
import { PgQueue, PgqError, type Queryable } from '../../src/index.ts'
import type { FileJob } from './files.ts'
import { dim, say } from './screen.ts'
import type { UrlJob } from './web.ts'

export type DemoQueue = PgQueue<FileJob> | PgQueue<UrlJob>

export interface DemoQueues extends AsyncDisposable {
  readonly files: PgQueue<FileJob>
  readonly retried: PgQueue<UrlJob>
  readonly redriven: PgQueue<FileJob>
  readonly delayed: PgQueue<UrlJob>
  readonly limited: PgQueue<UrlJob>
  readonly all: readonly DemoQueue[]
  waitForAll(signal: AbortSignal): Promise<void>
}

export async function makeQueues(db: Queryable): Promise<DemoQueues> {
  const files = new PgQueue<FileJob>(db, 'pgq_demo_files')
  const retried = new PgQueue<UrlJob>(db, 'pgq_demo_retried')
  const redriven = new PgQueue<FileJob>(db, 'pgq_demo_redriven')
  const delayed = new PgQueue<UrlJob>(db, 'pgq_demo_delayed')
  const limited = new PgQueue<UrlJob>(db, 'pgq_demo_limited')
  const all = [files, retried, redriven, delayed, limited]

  const drop = async (): Promise<void> => {
    for (const queue of all) {
      await queue.getConfig().drop({ force: true }).catch((error: unknown) => {
        if (!(error instanceof PgqError && error.code === 'queue_not_found')) throw error
      })
    }
  }
  await drop() // What a demo that was killed has left.
  const soon = { retry_backoff: 'fixed', pause_between_retries_milliseconds: 200 } as const
  await retried.getConfig().set(soon)
  await redriven.getConfig().set({ ...soon, max_attempts: 2 })
  await limited.getConfig().set({ max_concurrency: 2 })

  return {
    files, retried, redriven, delayed, limited, all,
    async waitForAll(signal) {
      for (const queue of all) {
        for await (const { job_id } of queue.listJobs()) await queue.waitForResult(job_id, { signal })
      }
    },
    [Symbol.asyncDispose]: drop,
  }
}

/** Adds a job as any client would, in any language. */
export async function addBySql({ db, queue_name }: PgQueue<UrlJob>, payload: UrlJob, what: string, start_after?: string): Promise<number> {
  const more = start_after ? `, start_after => ${start_after}` : ''
  const { rows } = await db.query<{ job_id: number | string }>({
    q: `SELECT job_id FROM pgq.add_job($1::text, $2::text::jsonb${more})`,
    args: [queue_name, JSON.stringify(payload)],
  })
  const job_id = Number(rows[0]!.job_id)
  say(`  SQL         job ${job_id}: ${what}`)
  say(dim(`              SELECT job_id FROM pgq.add_job('${queue_name}', '${JSON.stringify(payload)}'${more})`))
  return job_id
}
