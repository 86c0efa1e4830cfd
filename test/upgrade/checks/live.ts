/** Workers go on during an upgrade, and programs with the SDK of the release before go on after it. */
import type { Check } from '../check.ts'
import { expectEqual, expectMatch, expectSame } from '../expect.ts'
import { createExtension, CURRENT } from '../installation.ts'
import { PgQueue, PostgresDb, startWorker } from '../released/sdk-0.1.0.js'
import { openSession, sqlstateOf, type Session } from '../../support/session.ts'

/** What goes on beside the upgrade, and what has come of it. */
interface Life {
  is_over: boolean
  readonly acknowledged: Set<number>
  readonly worked: number[]
  readonly errors: unknown[]
  /** Of calls that waited for the upgrade, in the body that their function had before: a worker tries again. */
  readonly errors_of_workers: unknown[]
}

/** Does the same again and again, whatever comes of it, until it is over. */
async function keepDoing(life: Life, errors: unknown[], work: () => Promise<void>): Promise<void> {
  while (!life.is_over) await work().catch((error: unknown) => errors.push(error))
}

const keepAdding = (life: Life, add: () => Promise<readonly number[]>): Promise<void> => keepDoing(life, life.errors, async () => {
  for (const id of await add()) life.acknowledged.add(id)
})

/** What any driver would do: one pick and one release at a time, in plain SQL. */
const keepWorking = (life: Life, sql: Session): Promise<void> => keepDoing(life, life.errors_of_workers, async () => {
  const [job] = await sql`SELECT job_id, lease_token FROM pgq.pick_jobs(ARRAY['live'], worker => 'plain SQL')`
  if (!job) return
  await sql`SELECT pgq.release_job(${job['job_id']}, 'complete', lease_token => ${job['lease_token']})`
  life.worked.push(job['job_id'])
})

async function waitUntil(is_true: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const give_up_at = Date.now() + 60_000
  while (!(await is_true())) {
    if (Date.now() > give_up_at) throw new Error(`waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const workers_go_on: Check = {
  title: 'programs with the SDK of 0.1.0 go on while and after the extension is upgraded: no job is lost, no add fails',
  async run({ cluster }) {
    const made = createExtension(cluster, '0.1.0')
    const url = cluster.url_of(made.database)
    const [admin, app, plain] = [openSession(url), openSession(url), openSession(url)]
    const [db, other_db] = [new PostgresDb(url), new PostgresDb(url)]
    const queue = new PgQueue(db, 'live')
    const life: Life = { is_over: false, acknowledged: new Set(), worked: [], errors: [], errors_of_workers: [] }
    const { acknowledged, worked } = life

    await admin`CREATE TABLE app_row (job_id bigint)`
    const workers = [queue, new PgQueue(other_db, 'live')].map((each) => startWorker(
      each, (_payload, job) => void worked.push(job.job_id), { concurrency: 20, poll_interval_milliseconds: 50, on_error: (error) => life.errors_of_workers.push(error) }))
    const loops = [
      keepAdding(life, async () => [(await queue.addJob({ n: 1 })).job_id]),
      keepAdding(life, () => queue.addJobs(Array.from({ length: 10 }, (_, n) => ({ n })))),
      keepAdding(life, () => app.begin(async (transaction) => {
        const [added] = await transaction`INSERT INTO app_row SELECT a.job_id FROM pgq.add_job('live', '{}', priority => 1) AS a RETURNING job_id`
        return [added!['job_id'] as number]
      })),
      keepWorking(life, plain),
    ]
    await waitUntil(() => acknowledged.size > 2000 && worked.length > 1000, 'jobs before the upgrade')
    await admin`SET pgq.upgrade_patience = '30s'` // Tests may run on a machine that is busy with others.
    const began = performance.now()
    await admin`ALTER EXTENSION pgq UPDATE`
    const took = Math.round(performance.now() - began)
    const before = worked.length
    await waitUntil(() => worked.length > before + 3000, 'jobs after the upgrade')
    life.is_over = true
    await Promise.all(loops)
    await waitUntil(async () => (await admin`SELECT FROM pgq.job LIMIT 1`).length === 0, 'the last jobs')
    await Promise.all(workers.map((worker) => worker.stop()))

    const finished = await admin`SELECT job_id FROM pgq.finished_job WHERE state = 'complete' ORDER BY 1`
    expectEqual('version', (await admin`SELECT pgq.installed_version() AS v`)[0]!['v'], CURRENT)
    expectSame('errors of adds', life.errors.map(String), [])
    if (life.errors_of_workers.length > workers.length + 1) throw new Error(`workers failed more than once: ${life.errors_of_workers.join('\n')}`)
    expectEqual('finished jobs', finished.map((row) => row['job_id']), [...acknowledged].sort((a, b) => a - b))
    expectEqual('rows of the app without their job', await admin`SELECT FROM app_row WHERE NOT EXISTS (SELECT FROM pgq.finished_job AS f WHERE f.job_id = app_row.job_id)`, [])
    await Promise.all([admin.end(), app.end(), plain.end(), db.end(), other_db.end()])
    return `${acknowledged.size} jobs, upgrade in ${took} ms, ${life.errors_of_workers.length} picks tried again`
  },
}

const gives_up: Check = {
  title: 'an upgrade that finds the tables in use says by whom and what to do, changes nothing, and lets workers go on',
  async run({ cluster }) {
    const made = createExtension(cluster, '0.1.0')
    const url = cluster.url_of(made.database)
    const [admin, dump, worker] = [openSession(url), openSession(url, { settings: { application_name: 'pg_dump' } }), openSession(url)]
    const version = async (): Promise<string> => (await worker`SELECT pgq.installed_version() AS v`)[0]!['v']
    await dump`BEGIN`
    await dump`SELECT count(*) FROM pgq.finished_job`
    await admin`SET pgq.upgrade_patience = '500ms'`

    let has_given_up = false
    const upgrade = admin`ALTER EXTENSION pgq UPDATE`.then(() => undefined, (error: Error & { detail?: string; hint?: string }) => error)
      .finally(() => { has_given_up = true })
    let worked = 0
    while (!has_given_up) {
      await worker`SELECT pgq.add_job('live', '1')`
      await worker`SELECT pgq.release_job(p.job_id, 'complete', lease_token => p.lease_token) FROM pgq.pick_jobs(ARRAY['live']) AS p`
      worked += 1
    }
    const error = await upgrade
    expectEqual('SQLSTATE', sqlstateOf(error), '55P03')
    expectMatch('message', error!.message, /^could not lock the tables of pgq for the upgrade within 00:00:00.5$/)
    expectMatch('detail', error!.detail, /^In use by process \d+ \(pg_dump, in a transaction for 00:00:\d\d\)[.,]/)
    expectMatch('hint', error!.hint, /^Nothing was changed\. .*pg_terminate_backend.*pgq\.upgrade_patience/)
    expectEqual('version', await version(), '0.1.0')

    await dump`COMMIT`
    await admin`ALTER EXTENSION pgq UPDATE`
    expectEqual('version', await version(), CURRENT)
    await Promise.all([admin.end(), dump.end(), worker.end()])
    return `${worked} jobs meanwhile`
  },
}

export const live: readonly Check[] = [workers_go_on, gives_up]
