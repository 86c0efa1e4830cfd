/** What must compile, and what must not: checked by `tsc`, never run. */
import type postgres from 'postgres'
import type { Pool } from 'pg'
import type { PGlite } from '@electric-sql/pglite'
import {
  createJobHandler, fromPg, fromPglite, fromPostgresTransaction, PgQueue, PostgresDb, scheduleJob, startWorker, z, type DispatchedJob, type DispatchedJobContext, type JobRequestHandler,
  type Queryable,
} from '../src/index.ts'

declare const db: Queryable
declare const sql: postgres.Sql
declare const body: unknown

function same<A, B>(_: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false): void {}

export async function payloadsAreTyped(): Promise<void> {
  const plain = new PgQueue<{ n: number }>(db, 'q', 'schema')
  await plain.addJob({ n: 1 }, { retries: 3, start_after: new Date() })
  // @ts-expect-error A payload of another type.
  await plain.addJob({ n: 'x' })
  // @ts-expect-error No such option.
  await plain.addJob({ n: 1 }, { startAfter: new Date() })
  const handle = await plain.pickNextJob()
  same<NonNullable<typeof handle>['job']['payload'], { n: number }>(true)

  const parsed = new PgQueue(db, 'q', { payload_schema: z.object({ when: z.string().transform((text) => new Date(text)), n: z.number().default(1) }) })
  await parsed.addJob({ when: '2020' })
  // @ts-expect-error What is added is not parsed yet.
  await parsed.addJob({ when: new Date() })
  const picked = await parsed.pickNextJob()
  same<NonNullable<typeof picked>['job']['payload'], { when: Date; n: number }>(true)

  if (plain.ownsJob(body)) same<typeof body, DispatchedJob<{ n: number }>>(true)
  // @ts-expect-error Not a result.
  await plain.releaseJob(1, 'done')
  await plain.releaseJob(1, 'complete', db)
  await plain.getConfig().set({ max_concurrency: null })
  // @ts-expect-error Only limits may be null.
  await plain.getConfig().set({ max_attempts: null })
}

export async function schedulesAreTyped(): Promise<void> {
  const queue = new PgQueue<{ n: number }>(db, 'q')
  const schedule = await scheduleJob(queue, { name: 'daily', cron: '@daily', payload: { n: 1 } })
  same<typeof schedule.payload, { n: number }>(true)
  // @ts-expect-error A payload of another type.
  await scheduleJob(queue, { name: 'daily', cron: '@daily', payload: { n: 'x' } })
  // @ts-expect-error Not a policy.
  await scheduleJob(queue, { name: 'daily', cron: '@daily', payload: { n: 1 } }, { overlap: 'queue' })
}

export function handlersAreTyped(): void {
  const numbers = new PgQueue<number>(db, 'numbers')
  const texts = new PgQueue(db, 'texts', { payload_schema: z.string() })
  startWorker(numbers, (payload) => same<typeof payload, number>(true))
  startWorker([numbers, texts], (payload) => same<typeof payload, number | string>(true))
  startWorker([texts], async (payload, job) => {
    same<typeof payload, string>(true)
    await job.release('complete', { transaction: db })
    // @ts-expect-error Read-only.
    job.attempt = 2
  })
}

export function databasesAreAccepted(pool: Pool, pglite: PGlite): Queryable[] {
  return [
    new PostgresDb({}), new PostgresDb('postgres://'), new PostgresDb(sql), fromPg(pool), fromPglite(pglite),
    fromPostgresTransaction(sql),
  ]
}

export async function endpointsAreTyped(): Promise<JobRequestHandler[]> {
  const numbers = new PgQueue<number>(db, 'numbers')
  const texts = new PgQueue(db, 'texts', { payload_schema: z.string() })
  const options = { signing_secret: process.env['SECRET'] }
  await numbers.getConfig().setEndpoint(true, { endpoint_url: 'https://example.org', endpoint_method: 'GET' })
  // @ts-expect-error No such method.
  await numbers.getConfig().setEndpoint(true, { endpoint_url: 'https://example.org', endpoint_method: 'PUT' })
  // @ts-expect-error Without a url.
  await numbers.getConfig().setEndpoint(true, {})
  // @ts-expect-error Nothing to prove where a request comes from.
  createJobHandler(numbers, () => {})
  // A handler that needs no more of a job serves both.
  const both = (payload: string, job: DispatchedJobContext): string => `${payload} ${job.attempt}`
  startWorker(texts, both)
  return [
    createJobHandler(texts, both, options),
    createJobHandler(numbers, (payload) => same<typeof payload, number>(true), options),
    createJobHandler([numbers, texts], (payload) => same<typeof payload, number | string>(true), options),
    createJobHandler({ queue_name: 'mail', payload_schema: z.object({ to: z.string() }) }, (payload) => same<typeof payload, { to: string }>(true), options),
    createJobHandler({ queue_name: 'mail' }, (payload) => same<typeof payload, unknown>(true), options),
    createJobHandler(texts, async (payload, job) => {
      await job.release('complete', { transaction: db })
      // @ts-expect-error Not in a request.
      return job.priority
    }, options),
  ]
}
