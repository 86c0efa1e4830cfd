/** A queue with max_concurrency under 16 pickers. The peers have no limit for a whole queue that always holds. */
import type { Experiment } from '../experiment.ts'
import { QUEUE } from '../peers/peer.ts'
import { pgbench } from '../pgbench.ts'
import { connect, numberOf } from '../postgres.ts'

const CLIENTS = 16
const LIMIT = 8

/** A pick at the limit gives nothing, and its client tries again a little later. */
const SCRIPT = `
  SELECT count(*) AS picked, coalesce(min(job_id), 0) AS job_id, coalesce(min(lease_token), 0) AS lease_token
  FROM pgq.pick_jobs(ARRAY['${QUEUE}'], durable => false) \\gset
  \\if :picked
  SELECT pgq.release_job(:job_id::bigint, 'complete', :lease_token::bigint);
  \\else
  \\sleep 1 ms
  \\endif`

export const limit: Experiment = {
  name: 'limit',
  title: 'max_concurrency under many pickers',
  rows: () => [{ id: 'limit', title: `max_concurrency ${LIMIT}, ${CLIENTS} clients pick 1 + release 1`, unit: 'jobs/s', better: 'more' }],
  takes: (peer) => peer.name === 'pgq' || peer.name === 'pgq-no-history',
  async measure({ peer, place, server, sizes }) {
    await using client = await connect(place.database_url)
    await client.query('SELECT FROM pgq.set_queue_config($1, max_concurrency => $2)', [QUEUE, LIMIT])
    await client.query(peer.sql!.fill(sizes.stock))
    const waiting = (): Promise<number> => numberOf(client, 'SELECT count(*) FROM pgq.job')
    // Not by what pgbench tells, which counts empty picks too.
    const before = await waiting()
    const began = performance.now()
    await pgbench(server, place.database_url, SCRIPT, CLIENTS, sizes)
    const seconds = (performance.now() - began) / 1000
    return { limit: (before - await waiting()) / seconds }
  },
}
