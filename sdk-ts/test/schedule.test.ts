import { expect, test } from 'vitest'
import { listSchedules, pauseSchedule, PgQueue, resumeSchedule, scheduleJob, startDispatcher, startWorker, unscheduleJob, z, type Queryable } from '../src/index.ts'
import { errorOf, newQueue, openDb, queueName, stopAfterwards, until } from './support.ts'

const db = openDb()
const drive = (): Promise<unknown> => db.query({ q: 'SELECT pgq.drive_schedules()' })
/** As if its time had come. */
const makeDue = (name: string): Promise<unknown> =>
  db.query({ q: `UPDATE pgq.schedule SET next_at = clock_timestamp() - interval '1 second' WHERE schedule_name = $1`, args: [name] })

test('a schedule is set, set anew, paused, resumed, listed and removed', async () => {
  const queue = await newQueue(db)
  const name = queueName()
  const first = await scheduleJob(queue, { name, cron: '0 9 * * MON', payload: { n: 1 } })
  expect(first).toEqual({
    schedule_name: name, queue_name: queue.queue_name, workflow: null, workflow_version: null, cron: '0 9 * * MON', time_zone: 'UTC', payload: { n: 1 }, overlap: 'skip', catch_up: 'one',
    priority: 0, max_attempts: null, unique_key: null, group_key: null, timeout_milliseconds: null, timeout_with_result: null, headers: null,
    is_paused: false, next_at: expect.any(Date), last_at: null, last_job_id: null, last_error: null, created_at: expect.any(Date),
  })
  expect(first.next_at!.getUTCDay()).toBe(1)
  const options = {
    time_zone: 'Europe/Berlin', overlap: 'allow', catch_up: 'all', priority: 5, max_attempts: 2, unique_key: 'k', group_key: 'g',
    timeout_milliseconds: 5000, timeout_with_result: 'paused', headers: { trace: 1 },
  } as const
  expect(await scheduleJob(queue, { name, cron: '@daily', payload: { n: 2 } }, options)).toMatchObject({ ...options, payload: { n: 2 } })
  expect(await pauseSchedule(db, name)).toBe(true)
  expect(await listSchedules(db, { queue_name: queue.queue_name })).toMatchObject([{ schedule_name: name, is_paused: true, next_at: null }])
  expect(await resumeSchedule(db, name)).toBe(true)
  expect((await listSchedules(db)).filter(({ schedule_name }) => schedule_name === name)).toMatchObject([{ is_paused: false }])
  expect(await unscheduleJob(db, name)).toBe(true)
  expect(await unscheduleJob(db, name)).toBe(false)
})

test('what is wrong is told before the database is asked', async () => {
  const queue = new PgQueue(db, queueName(), { payload_schema: z.object({ to: z.string() }) })
  const payload = { to: 'ada' }
  await errorOf(scheduleJob(queue, { name: 'x', cron: '@daily', payload: {} as never }), 'payload_invalid')
  await errorOf(scheduleJob(queue, { name: '', cron: '@daily', payload }), 'invalid_argument')
  await errorOf(scheduleJob(queue, { name: 'x', cron: 'daily', payload }), 'invalid_argument')
  await errorOf(scheduleJob(queue, { name: 'x', cron: '0 0 30 2 *', payload }), 'invalid_argument')
  await errorOf(scheduleJob(queue, { name: 'x', cron: '@daily', payload }, { time_zone: 'Mars/Phobos' }), 'invalid_argument')
  await errorOf(scheduleJob(queue, { name: 'x', cron: '@daily', payload }, { overlap: 'queue' as never }), 'invalid_argument')
  await errorOf(queue.stats(), 'queue_not_found')
})

test('setting a schedule belongs to the transaction that it is called in', async () => {
  const queue = await newQueue(db)
  await expect(db.transaction(async (transaction) => {
    await scheduleJob(queue, { name: queue.queue_name, cron: '@daily', payload: { n: 1 } }, { transaction })
    throw new Error('no')
  })).rejects.toThrow('no')
  expect(await listSchedules(db, { queue_name: queue.queue_name })).toEqual([])
})

test('a schedule may start runs of a workflow, which is made known before', async () => {
  const queue = new PgQueue(db, queueName(), { payload_schema: z.object({ n: z.number() }) })
  const { schema_name, queue_name } = queue
  const workflow = {
    db, schema_name, queue_name, workflow_id: 'flow',
    getRawQueue: () => queue,
    addJob: (payload: { n: number }) => queue.addJob(payload),
    define: async (transaction: Queryable = db) => {
      await transaction.query({ q: `SELECT pgq.define_workflow($1, 'flow', 1, '[{"id": "only"}]')`, args: [queue_name] })
    },
  }
  await errorOf(scheduleJob(workflow, { name: queue_name, cron: '@yearly', payload: { n: 'x' } as never }), 'payload_invalid')
  expect(await scheduleJob(workflow, { name: queue_name, cron: '@yearly', payload: { n: 1 } })).toMatchObject({ workflow: 'flow', workflow_version: null })
  await makeDue(queue_name)
  await drive()
  const { rows } = await db.query({ q: 'SELECT j.workflow, j.step FROM pgq.list_jobs($1) AS j', args: [queue_name] })
  expect(rows).toEqual([{ workflow: 'flow', step: 'only' }])
})

test('a worker drives schedules, and works what they add', async () => {
  const queue = await newQueue(db)
  const name = queueName()
  await scheduleJob(queue, { name, cron: '* * * * * *', payload: { n: 7 } }, { overlap: 'allow' })
  const due: unknown[] = []
  const worker = stopAfterwards(startWorker(queue, ({ n }, job) => { due.push([n, job.headers?.['schedule'], job.headers?.['due_at']]) }))
  await until(() => due.length >= 2)
  await worker.stop()
  await unscheduleJob(db, name)
  expect(due[0]).toEqual([7, name, expect.stringMatching(/^\d{4}-\d\d-\d\dT/)])
  expect(new Set(due.map(String)).size).toBe(due.length)
})

test('a dispatcher drives schedules too', async () => {
  const queue = await newQueue(db)
  const name = queueName()
  await scheduleJob(queue, { name, cron: '@yearly', payload: { n: 1 } })
  await makeDue(name)
  const dispatcher = startDispatcher(db)
  await until(async () => (await queue.stats()).ready === 1)
  await dispatcher.stop()
})

test('a worker can be told not to drive schedules', async () => {
  const [mine, other] = [await newQueue(db), await newQueue(db)]
  const name = queueName()
  await scheduleJob(other, { name, cron: '@yearly', payload: { n: 1 } })
  await makeDue(name)
  const worker = stopAfterwards(startWorker(mine, () => undefined, { drive_schedules: false }))
  await mine.waitForResult((await mine.addJob({ n: 1 })).job_id)
  await worker.stop()
  expect((await other.stats()).ready).toBe(0)
  await drive()
  expect((await other.stats()).ready).toBe(1)
})
