/** Jobs of one group are limited to one at a time, and very many wait: how long does a new job of another group take? */
import type { Experiment } from '../experiment.ts'
import { payload } from '../payload.ts'
import { QUEUE, type Session } from '../peers/peer.ts'
import { connect } from '../postgres.ts'
import { median } from '../statistics.ts'

const CHUNK = 100_000
const SAMPLES = 20
/** Longer than this does not matter; then this is the figure. */
const GIVE_UP_MILLISECONDS = 20_000

export const held_group: Experiment = {
  name: 'held-group',
  title: 'a group with very many held jobs',
  rows: ({ held_group }) => [
    { id: 'group-alone', title: "a group's first job: add until picked", unit: 'ms', better: 'less' },
    { id: 'group-behind', title: `the same beside a group with ${held_group.toLocaleString('en')} held jobs`, unit: 'ms', better: 'less' },
  ],
  // graphile-worker: a named queue a group. pg-boss has only a soft limit, and none in its fetch.
  takes: (peer) => peer.name === 'pgq' || peer.name === 'graphile-worker',
  is_long: true,
  async measure({ peer, place, sizes }) {
    await using client = await connect(place.database_url)
    if (peer.name === 'pgq') await client.query('SELECT FROM pgq.set_queue_config($1, max_concurrency_per_group => 1)', [QUEUE])
    const session = await peer.openSession!(`${place.database_url}?options=-c%20statement_timeout%3D${GIVE_UP_MILLISECONDS}`)
    await firstJobs(session, 'warm')
    const alone = await firstJobs(session, 'before')

    for (let left = sizes.held_group; left > 0; left -= CHUNK) await client.query(peer.sql!.fill(Math.min(CHUNK, left), 'big'))
    await client.query('VACUUM ANALYZE')
    // Its first job runs, and all others of the group are held from now on.
    const running = await session.pick(1)
    if (running.length !== 1) throw new Error('the first job of the large group was not picked')
    const behind = await firstJobs(session, 'after').catch((error: { code?: string }) => {
      if (error.code === '57014') return GIVE_UP_MILLISECONDS
      throw error
    })
    await session.end()
    return { 'group-alone': alone, 'group-behind': behind }
  },
}

/** Median of the milliseconds from an add until the job is picked. */
async function firstJobs(session: Session, prefix: string): Promise<number | undefined> {
  const times: number[] = []
  for (let n = 0; n < SAMPLES; n++) {
    const began = performance.now()
    await session.add([payload(n)], `${prefix}-${n}`)
    let held = await session.pick(1)
    while (held.length === 0) {
      if (performance.now() - began > GIVE_UP_MILLISECONDS) return GIVE_UP_MILLISECONDS
      held = await session.pick(1)
    }
    times.push(performance.now() - began)
    await session.release(held)
  }
  return median(times)
}
