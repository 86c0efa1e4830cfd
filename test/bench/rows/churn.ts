/** One session adds 100, picks 100 and releases 100, on and on: free, and while another session holds an old snapshot. */
import type { Experiment, Scene } from '../experiment.ts'
import { payloads } from '../payload.ts'
import { connect } from '../postgres.ts'

const BATCH = 100
/** The first and the last such part of the jobs are told. */
const PART = 1 / 6

export const churn_free: Experiment = {
  name: 'churn',
  title: 'churn by 100',
  rows: ({ churn }) => [
    { id: 'churn-first', title: `churn by 100, ${churn.toLocaleString('en')} jobs: first sixth`, unit: 'jobs/s', better: 'more' },
    { id: 'churn-last', title: 'churn by 100: last sixth', unit: 'jobs/s', better: 'more' },
  ],
  takes: (peer) => peer.openSession !== undefined,
  is_long: true,
  async measure(scene) {
    const { first, last } = await churn(scene)
    return { 'churn-first': first, 'churn-last': last }
  },
}

export const churn_held: Experiment = {
  name: 'churn-held',
  title: 'churn by 100 under a held snapshot',
  rows: () => [
    { id: 'churn-held-first', title: 'churn by 100 under a held snapshot: first sixth', unit: 'jobs/s', better: 'more' },
    { id: 'churn-held-last', title: 'churn by 100 under a held snapshot: last sixth', unit: 'jobs/s', better: 'more' },
    { id: 'churn-held-kept', title: 'last sixth of the first, under a held snapshot', unit: 'of 1', better: 'more' },
  ],
  takes: (peer) => peer.openSession !== undefined,
  is_long: true,
  async measure(scene) {
    await using holder = await connect(scene.place.database_url)
    await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class')
    const { first, last } = await churn(scene)
    return { 'churn-held-first': first, 'churn-held-last': last, 'churn-held-kept': last / first }
  },
}

/** Rates of the first and the last part. Who is not done in time is measured by the parts of what it did. */
async function churn({ peer, place, sizes }: Scene): Promise<{ first: number; last: number }> {
  const session = await peer.openSession!(place.database_url)
  const batch = payloads(BATCH)
  /** When each batch was done. */
  const done_at: number[] = [performance.now()]
  const ends_at = done_at[0]! + sizes.churn_seconds * 1000
  while (done_at.length <= sizes.churn / BATCH && performance.now() < ends_at) {
    await session.add(batch)
    await session.release(await session.pick(BATCH))
    done_at.push(performance.now())
  }
  await session.end()

  const batches = done_at.length - 1
  const part = Math.max(1, Math.min(Math.round((sizes.churn / BATCH) * PART), Math.floor(batches / 2)))
  const rate = (from: number, to: number): number => ((to - from) * BATCH) / ((done_at[to]! - done_at[from]!) / 1000)
  return { first: rate(0, part), last: rate(batches - part, batches) }
}
