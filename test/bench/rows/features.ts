/** What each optional feature of pgq costs: churn by 100 with it, as a share of the rate without. */
import type { Experiment, Row } from '../experiment.ts'
import { payloads } from '../payload.ts'
import { connect, type Connection } from '../postgres.ts'

const BATCH = 100
/** Each feature takes its turn so often. */
const TURNS = 5

interface Feature {
  readonly id: string
  readonly title: string
  /** Arguments of set_queue_config. */
  readonly config?: string
  /** Further arguments of add_jobs; `n` counts from 1. */
  readonly add?: string
}

const PLAIN: Feature = { id: 'plain', title: 'plain' }
const FEATURES: readonly Feature[] = [
  { id: 'history', title: 'no history', config: "keep_history => 'none'" },
  { id: 'limit', title: 'max_concurrency', config: 'max_concurrency => 1000' },
  { id: 'group', title: '10 groups, max_concurrency_per_group', config: 'max_concurrency_per_group => 1000', add: "group_keys => ARRAY(SELECT 'g' || n % 10 FROM generate_series(1, $3) AS n)" },
  { id: 'unique', title: 'unique keys', add: "unique_keys => ARRAY(SELECT 'k' || n FROM generate_series(1, $3) AS n)" },
  { id: 'headers', title: 'headers', add: `headers => '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'` },
]

export const features: Experiment = {
  name: 'features',
  title: 'cost of features',
  rows: () => FEATURES.map(({ id, title }): Row => ({ id: `feature-${id}`, title: `churn by 100 with ${title}, of plain`, unit: '%', better: 'more' })),
  takes: (peer) => peer.name === 'pgq',
  is_long: true,
  async measure({ place, sizes }) {
    await using client = await connect(place.database_url)
    const jobs = Math.ceil(sizes.batch_jobs / TURNS / BATCH) * BATCH
    for (const { id, config } of [PLAIN, ...FEATURES]) {
      await client.query(`SELECT FROM pgq.set_queue_config('${id}'${config === undefined ? '' : `, ${config}`})`)
    }
    const seconds = new Map<string, number>()
    for (let turn = 0; turn <= TURNS; turn++) {
      for (const feature of [PLAIN, ...FEATURES]) {
        const took = await churn(client, feature, jobs)
        // The first turn warms up.
        if (turn > 0) seconds.set(feature.id, (seconds.get(feature.id) ?? 0) + took)
      }
    }
    return Object.fromEntries(FEATURES.map(({ id }) => [`feature-${id}`, 100 * seconds.get('plain')! / seconds.get(id)!]))
  },
}

/** Seconds for so many jobs. */
async function churn(client: Connection, { id, add }: Feature, jobs: number): Promise<number> {
  const batch = payloads(BATCH).map((payload) => JSON.stringify(payload))
  const has_count = add?.includes('$3') ?? false
  const began = performance.now()
  for (let done = 0; done < jobs; done += BATCH) {
    await client.query({
      name: `add_${id}`, text: `SELECT pgq.add_jobs($1, $2::jsonb[]${add === undefined ? '' : `, ${add}`})`,
      values: [id, batch, ...(has_count ? [BATCH] : [])],
    })
    let left = BATCH
    while (left > 0) {
      const { rows } = await client.query({
        name: 'pick', text: 'SELECT job_id, lease_token, payload FROM pgq.pick_jobs($1::text[], $2, durable => false)', values: [[id], BATCH],
      })
      if (rows.length === 0) throw new Error(`${left} jobs of queue "${id}" were added and cannot be picked`)
      await client.query({
        name: 'release', text: "SELECT pgq.release_jobs($1::bigint[], $2::bigint[], 'complete')",
        values: [rows.map((job) => job.job_id), rows.map((job) => job.lease_token)],
      })
      left -= rows.length
    }
  }
  return (performance.now() - began) / 1000
}
