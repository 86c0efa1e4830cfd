/** What a job costs in bytes: WAL for its life in batches of 100, and table and index while it waits. */
import type { Experiment } from '../experiment.ts'
import { payloads } from '../payload.ts'
import { connect, numberOf, type Connection } from '../postgres.ts'

const BATCH = 100

export const bytes: Experiment = {
  name: 'bytes',
  title: 'bytes a job',
  rows: () => [
    { id: 'wal', title: "WAL for a job's life, batches of 100", unit: 'bytes', better: 'less' },
    { id: 'table-bytes', title: 'table for a waiting job', unit: 'bytes', better: 'less' },
    { id: 'index-bytes', title: 'indexes for a waiting job', unit: 'bytes', better: 'less' },
  ],
  is_long: true,
  takes: (peer) => peer.openSession !== undefined,
  async measure({ peer, place, sizes }) {
    await using client = await connect(place.database_url)
    const session = await peer.openSession!(place.database_url)
    const batch = payloads(BATCH)

    async function live(jobs: number): Promise<void> {
      for (let done = 0; done < jobs; done += BATCH) {
        await session.add(batch)
        await session.release(await session.pick(BATCH))
      }
    }
    const before = await sizesOf(client, peer.schema!)
    for (let added = 0; added < sizes.batch_jobs; added += BATCH) await session.add(batch)
    const after = await sizesOf(client, peer.schema!)

    await live(sizes.warm_up)
    const from = await numberOf(client, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    await live(sizes.batch_jobs)
    const wal = await numberOf(client, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn") - from
    await session.end()
    return {
      wal: wal / sizes.batch_jobs,
      'table-bytes': (after.table - before.table) / sizes.batch_jobs,
      'index-bytes': (after.index - before.index) / sizes.batch_jobs,
    }
  },
}

async function sizesOf(client: Connection, schema: string): Promise<{ table: number; index: number }> {
  const sum = (size: string): Promise<number> => numberOf(client, `
    SELECT sum(${size}(c.oid)) FROM pg_class AS c
    WHERE c.relnamespace = '${schema}'::regnamespace AND c.relkind = 'r'`)
  return { table: await sum('pg_table_size'), index: await sum('pg_indexes_size') }
}
