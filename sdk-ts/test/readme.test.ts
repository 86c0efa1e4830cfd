import { beforeAll, expect, test } from 'vitest'
import { PgQueue, PgQueueConfig } from '../src/index.ts'
import { installPlain, openDb } from './support.ts'

/** The examples of the README, with the database of the tests. */
const db = openDb()
beforeAll(() => installPlain(db, 'optional_custom_schema_1'))

test('the example of adding a job runs as written', async () => {
  const queue = new PgQueue<{ payload_data_can_be_anything: boolean }>(
    db,
    'test_queue_1',
    'optional_custom_schema_1'
    );

  const added = await queue.addJob({payload_data_can_be_anything: true})

  expect(added).toEqual({ job_id: expect.any(Number), is_new: true })
  const next = await queue.pickNextJob()
  expect(next?.job.payload).toEqual({ payload_data_can_be_anything: true })
  expect(next?.job.queue_name).toBe('test_queue_1')
  await next?.release('complete')
  expect((await queue.getJob(added.job_id)).state).toBe('complete')
})

test('the example of setting max concurrency runs as written', async () => {
  const queueConfig = new PgQueueConfig(
    db,
    'test_queue_1',
    'optional_custom_schema_1'
    );

  await queueConfig.set({
    max_concurrency: 25
});

  expect((await queueConfig.get()).max_concurrency).toBe(25)
})
