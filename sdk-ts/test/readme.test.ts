import { beforeAll, expect, test } from 'vitest'
import { createMultiStepPgQueueAsRecord, MultiStepPgQueue, PgQueue, PgQueueConfig, startWorker, z } from '../src/index.ts'
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

test('the example of a multi-step workflow runs as written', async () => {
  const read: unknown[] = []
  const msq = new MultiStepPgQueue(
    db,
    'test_multistep_queue_1',
    'workflow_1',
    [
        {
            id: 'no1',
            handler: async (payload, jobID) => {
                // Do something, e.g. read a value from the payload, process it, and write it to the database
                if( payload.name==='Bob' ) {
                  read.push(['no1', jobID])
                }
            }
        },
        {
            id: 'no2',
            handler: async (payload, jobID) => {
                // Do something, e.g. read a value from the database, process it, and write it to the database
                read.push(['no2', jobID, payload])
            }
        }
    ],
    z.object({name: z.string()}), // Payload format in Zod, given to the step handler
    'optional_custom_schema_1'
)

const { job_id } = await msq.addJob({
    name: 'Bob'
});

  while ((await msq.getRawQueue().getJob(job_id)).state !== 'complete') await msq.processNextJob()
  expect(read).toEqual([['no1', job_id], ['no2', job_id, { name: 'Bob' }]])
})

test('the example of createMultiStepPgQueueAsRecord runs as written', async () => {
const workflows = {
    ...createMultiStepPgQueueAsRecord(
        db,
        'queue_v1',
        'v1',
        [
            {
                id: 'step1',
                handler: async (payload) => {
                    await workflows.v2.addJob({ name: `${payload.name} and more` })
                }
            },
        ],
        z.object({name: z.string()}),
        'optional_custom_schema_1'
    ),
    ...createMultiStepPgQueueAsRecord(
        db,
        'queue_v1',
        'v2',
        [
            {
                id: 'step1',
                handler: async (payload) => { second.push(payload) }
            },
        ],
        z.object({name: z.string()}),
        'optional_custom_schema_1'
    )
}
  const second: unknown[] = []

await workflows.v1.addJob({ name: 'Bob' })

  await using _worker = startWorker(Object.values(workflows))
  while (second.length === 0) await new Promise(setImmediate)
  expect(second).toEqual([{ name: 'Bob and more' }])
})
