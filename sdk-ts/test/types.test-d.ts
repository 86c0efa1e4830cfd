/** What must compile, and what must not: checked by `tsc`, never run. */
import type postgres from 'postgres'
import type { Pool } from 'pg'
import type { PGlite } from '@electric-sql/pglite'
import { fromPg, fromPglite, fromPostgresTransaction, PgQueue, PostgresDb, startWorker, z, type DispatchedJob, type Queryable } from '../src/index.ts'

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
