/** The schedule of the native dispatcher: real pg_cron 1.4 (minutes), and a stand-in where one needs 1.5 (seconds). */
import { existsSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startCluster } from '../support/cluster.ts'
import { installPgNet, startPgNet } from '../support/pg_net/start.ts'
import { openSession } from '../support/session.ts'
import { installPgq, startStage, type Stage } from './stage.ts'
import { until } from './until.ts'

interface Health {
  readonly is_healthy: boolean
  readonly problems: readonly string[]
  readonly pg_net_version: string | null
  readonly pg_cron_version: string | null
  readonly schedule: string | null
  readonly last_turn_at: Date | null
}

const CRON_SETTINGS = {
  shared_preload_libraries: 'pg_cron', 'cron.database_name': 'postgres', 'cron.host': '127.0.0.1', 'cron.timezone': 'UTC',
}
const sharedir = execFileSync(process.env['PG_CONFIG'] ?? 'pg_config', ['--sharedir'], { encoding: 'utf8' }).trim()
const has_pg_cron = existsSync(join(sharedir, 'extension/pg_cron.control'))

let stage: Stage
const health = async (): Promise<Health> => (await stage.sql<[Health]>`SELECT h.* FROM pgq.native_health() AS h`)[0]
const start = async (): Promise<Health> => (await stage.sql<[Health]>`SELECT h.* FROM pgq.start_native_dispatcher() AS h`)[0]
const isComplete = (job_id: number) => async (): Promise<boolean> => (await stage.job(job_id)).state === 'complete'

describe.skipIf(!has_pg_cron)('with pg_cron', () => {
  beforeAll(async () => {
    stage = await startStage({ settings: CRON_SETTINGS })
  })
  afterAll(() => stage?.[Symbol.asyncDispose]())

  test('one call turns the dispatcher on, after both extensions came later', async () => {
    await stage.sql`ALTER SCHEMA net RENAME TO net_later`
    await expect(start()).rejects.toMatchObject({ code: '55000', message: 'pg_net is not installed in this database' })
    expect((await health()).problems).toEqual(['pg_net is not installed in this database', 'pg_cron is not installed in this database'])
    await stage.sql`ALTER SCHEMA net_later RENAME TO net`
    await expect(start()).rejects.toMatchObject({ code: '55000', message: expect.stringMatching(/^pg_cron is not installed in this database/) })
    await stage.sql`CREATE EXTENSION pg_cron`
    // The worker of pg_net has ended without its tables, and is started again.
    await until(async () => !(await health()).problems.includes('the worker of pg_net is not running'), 60)
    expect((await health()).problems).toEqual(['it is not scheduled: call start_native_dispatcher()'])
    const started = await start()
    expect(started).toMatchObject({ problems: ['it has not run for two minutes'], pg_cron_version: expect.stringMatching(/^1\./) })
    const jobs = await stage.sql`SELECT j.schedule, j.command, j.username, j.database FROM cron.job AS j ORDER BY j.jobid`
    const in_seconds = started.schedule === '5 seconds'
    expect(jobs.map((row) => row)).toEqual([
      {
        schedule: in_seconds ? '5 seconds' : '* * * * *', command: `CALL pgq.run_native_dispatcher(${in_seconds ? 'run_seconds => 55' : ''})`,
        username: 'postgres', database: 'postgres',
      },
      { schedule: '17 * * * *', command: 'VACUUM net.http_request_queue', username: 'postgres', database: 'postgres' },
    ])
    await start()
    expect(await stage.sql`SELECT FROM cron.job`, 'a second call changes nothing').toHaveLength(2)
  })

  test('jobs are dispatched, from one minute to the next, and it is healthy', async () => {
    const first = await stage.add('minutely', 1)
    await until(isComplete(first), 75)
    expect(await health()).toMatchObject({ is_healthy: true, problems: [] })
    // The next run goes on where this one ends.
    const firstRun = async (): Promise<number> =>
      (await stage.sql`SELECT FROM cron.job_run_details AS d WHERE d.command LIKE 'CALL%' AND d.status = 'succeeded'`).length
    await until(async () => (await firstRun()) === 1, 75)
    const began = Date.now()
    const second = await stage.add('minutely', 2)
    await until(isComplete(second), 75)
    expect(Date.now() - began).toBeLessThan(8000)
  }, 240_000)

  test('what pg_cron notes of our runs is deleted after a day, and nothing else', async () => {
    await stage.sql`SELECT pgq.stop_native_dispatcher()`
    const add = (command: string, hours: number): Promise<unknown> => stage.sql`
      INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, start_time, end_time)
      SELECT 1, nextval('cron.runid_seq'), 'postgres', 'postgres', ${command}, 'succeeded', at, at FROM (SELECT now() - ${hours} * interval '1 hour' AS at) AS t`
    await stage.sql`DELETE FROM cron.job_run_details`
    await add('CALL pgq.run_native_dispatcher()', 25)
    await add('CALL pgq.run_native_dispatcher(run_seconds => 55)', 25)
    await add('VACUUM net.http_request_queue', 25)
    await add('CALL pgq.run_native_dispatcher()', 23)
    await add('CALL other.run_native_dispatcher()', 25)
    await stage.sql`UPDATE pgq.native_epoch AS e SET purged_at = NULL`
    await stage.sql.unsafe('CALL pgq.run_native_dispatcher(1)').simple()
    const left = await stage.sql<{ command: string }[]>`SELECT d.command FROM cron.job_run_details AS d ORDER BY d.runid`
    expect(left.map(({ command }) => command)).toEqual(['CALL pgq.run_native_dispatcher()', 'CALL other.run_native_dispatcher()'])
  })

  test('a run that fails is told by health', async () => {
    await start()
    const [{ jobid }] = await stage.sql<[{ jobid: number }]>`SELECT j.jobid FROM cron.job AS j WHERE j.command LIKE 'CALL%'`
    await stage.sql`
      INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, return_message, start_time, end_time)
      VALUES (${jobid}, nextval('cron.runid_seq'), 'postgres', 'postgres', 'CALL', 'failed', 'connection failed', now(), now())`
    await stage.sql`UPDATE pgq.native_epoch AS e SET turn_at = now() - interval '3 minutes'`
    expect((await health()).problems).toEqual(['its last run by pg_cron failed: connection failed'])
  })

  test('stop ends the run under way, and gives back what waits', async () => {
    await stage.sql`SELECT pgq.stop_native_dispatcher()`
    stage.net.pause()
    const job_id = await stage.add('stopped')
    const dispatcher = stage.dispatch()
    await until(async () => (await stage.sql`SELECT FROM net.http_request_queue`).length === 1)
    await start()
    const [{ left }] = await stage.sql<[{ left: number }]>`SELECT pgq.stop_native_dispatcher() AS left`
    expect(left).toBe(0)
    await dispatcher.ended
    expect(await stage.sql`SELECT FROM cron.job`).toHaveLength(0)
    expect(await stage.job(job_id)).toMatchObject({ state: 'ready', attempt: 0 })
    stage.net.resume()
    await sleep(1200)
    expect(stage.endpoint.received.filter(({ path }) => path === '/stopped')).toHaveLength(0)
  })

  test('in another database than that of pg_cron it says what to call there', async () => {
    stage.cluster.psql('CREATE DATABASE beside')
    installPgq(stage.cluster, 'beside')
    installPgNet(stage.cluster, 'beside')
    const beside = openSession(stage.cluster.url_of('beside'))
    await expect(beside`SELECT pgq.start_native_dispatcher()`).rejects.toMatchObject({
      code: '55000', detail: 'The database of pg_cron is "postgres" (cron.database_name).',
      hint: expect.stringContaining(`cron.schedule_in_database('pgq dispatcher (beside)', '* * * * *', 'CALL pgq.run_native_dispatcher()', 'beside')`),
    })
    await beside.end()
  })
})

// Debian has 1.4 only: a schema cron that takes seconds, as 1.5 does, and runs nothing.
describe('with a pg_cron that knows seconds', () => {
  test('it is scheduled by seconds', async () => {
    await using cluster = await startCluster()
    installPgq(cluster)
    installPgNet(cluster, 'postgres')
    cluster.psql(`
      CREATE SCHEMA cron;
      CREATE TABLE cron.job (jobid bigserial, schedule text, command text, nodename text, database text DEFAULT current_database(),
          username text DEFAULT current_user, active boolean DEFAULT true, jobname text);
      CREATE TABLE cron.job_run_details (jobid bigint, runid bigint, database text, username text, command text, status text,
          return_message text, start_time timestamptz, end_time timestamptz);
      CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE plpgsql AS $$
      BEGIN
          IF schedule !~ '^[1-9]\\d? seconds$' AND schedule !~ '^\\S+ \\S+ \\S+ \\S+ \\S+$' THEN
              RAISE EXCEPTION 'invalid schedule: %', schedule USING ERRCODE = '22023';
          END IF;
          INSERT INTO cron.job (jobname, schedule, command) VALUES (job_name, schedule, command);
          RETURN 1;
      END $$;`)
    const session = openSession(cluster.url)
    await session`SELECT pgq.start_native_dispatcher()`
    expect((await session`SELECT j.jobname, j.schedule, j.command FROM cron.job AS j ORDER BY j.jobid`)[0]).toEqual({
      jobname: 'pgq dispatcher (postgres)', schedule: '5 seconds', command: 'CALL pgq.run_native_dispatcher(run_seconds => 55)',
    })
    await session.end()
  })
})

test('without the library of pg_net nothing is claimed, and health says so', async () => {
  await using cluster = await startCluster()
  installPgq(cluster)
  installPgNet(cluster, 'postgres')


  const session = openSession(cluster.url)
  await session`SELECT FROM pgq.set_endpoint('q', 'https://example.com/')`
  const [{ job_id }] = await session<[{ job_id: number }]>`SELECT a.job_id FROM pgq.add_job('q', '1') AS a`
  await session.unsafe('CALL pgq.run_native_dispatcher(1)').simple()
  const [job] = await session`SELECT j.state, j.attempt FROM pgq.get_job(${job_id}) AS j`
  expect(job).toEqual({ state: 'ready', attempt: 0 })
  const [{ problems }] = await session<[{ problems: string[] }]>`SELECT h.problems FROM pgq.native_health() AS h`
  expect(problems).toEqual(['pg_net is not in shared_preload_libraries'])
  await session.end()
})
