/** Schedules that nobody but pg_cron drives. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startCluster } from '../support/cluster.ts'
import { openSession } from '../support/session.ts'
import { installPgq } from './stage.ts'
import { until } from './until.ts'

const sharedir = execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--sharedir'], { encoding: 'utf8' }).trim()
const has_pg_cron = existsSync(join(sharedir, 'extension/pg_cron.control'))

test.skipIf(!has_pg_cron)('pg_cron drives schedules, each due time once', async () => {
  await using cluster = await startCluster({
    settings: { shared_preload_libraries: 'pg_cron', 'cron.database_name': 'postgres', 'cron.host': '127.0.0.1', 'cron.timezone': 'UTC' },
  })
  installPgq(cluster)
  cluster.psql('CREATE EXTENSION pg_cron')
  const sql = openSession(cluster.url)
  await sql`SELECT pgq.schedule_job('often', '*/20 * * * * *', 'mail', overlap => 'allow', catch_up => 'all')`
  // As if it had been set a minute ago: the first time that pg_cron comes, three are due.
  await sql`UPDATE pgq.schedule SET next_at = next_at - interval '1 minute'`
  const [{ schedule }] = await sql<[{ schedule: string }]>`SELECT pgq.start_native_schedules(every_seconds => 2) AS schedule`
  expect(['2 seconds', '* * * * *']).toContain(schedule)

  const due = async (): Promise<string[]> =>
    (await sql<{ due_at: string }[]>`SELECT j.headers ->> 'due_at' AS due_at FROM pgq.list_jobs('mail') AS j ORDER BY j.job_id`).map(({ due_at }) => due_at)
  await until(async () => (await due()).length >= 3, 90)
  const times = (await due()).map((at) => new Date(at).getTime())
  expect(times.map((at) => at - times[0]!)).toEqual(times.map((_, index) => index * 20_000))

  await sql`SELECT pgq.stop_native_schedules()`
  expect(await sql`SELECT FROM cron.job`).toHaveLength(0)
  await sql.end()
}, 180_000)
