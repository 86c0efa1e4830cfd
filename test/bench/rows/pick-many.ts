/** The same by 100, from Node with prepared statements on connections of its own. */
import type { Experiment, Row, Scene } from '../experiment.ts'
import { connect } from '../postgres.ts'

const CLIENTS = [1, 4, 16] as const
const BATCH = 100
const WAYS = [['two', 'two calls'], ['one', 'one call (release_and_pick)']] as const

export const pick_many: Experiment = {
  name: 'pick-many',
  title: 'pick 100, release 100',
  rows: () => CLIENTS.flatMap((clients) => WAYS.map(([way, words]): Row => ({
    id: `pick-100-${way}-${clients}`, title: `pick 100 + release 100, ${clients} client${clients > 1 ? 's' : ''}, ${words}`, unit: 'jobs/s', better: 'more',
    compare_with: `pick-100-two-${clients}`,
  }))),
  takes: (peer) => peer.openSession !== undefined,
  is_long: true,
  async measure(scene) {
    const figures: Record<string, number> = {}
    for (const clients of CLIENTS) {
      for (const [way] of WAYS) {
        if (way === 'one' && !scene.peer.has_one_call) continue
        figures[`pick-100-${way}-${clients}`] = await rate(scene, clients, way)
      }
    }
    return figures
  },
}

async function rate({ peer, place, sizes }: Scene, clients: number, way: 'one' | 'two'): Promise<number> {
  await using client = await connect(place.database_url)
  const sessions = await Promise.all(Array.from({ length: Math.min(clients, sizes.most_clients) }, () => peer.openSession!(place.database_url)))
  for (let filled = 0; filled < sizes.stock * 3; filled += sizes.stock) await client.query(peer.sql!.fill(sizes.stock))

  async function round(seconds: number): Promise<number> {
    const ends_at = performance.now() + seconds * 1000
    let done = 0
    await Promise.all(sessions.map(async (session) => {
      let held = await session.pick(BATCH)
      while (held.length > 0 && performance.now() < ends_at) {
        const released = held.length
        if (way === 'one') {
          held = await session.releaseAndPick!(held, BATCH)
        } else {
          await session.release(held)
          held = await session.pick(BATCH)
        }
        done += released
      }
      if (held.length > 0) await session.release(held)
      done += held.length
    }))
    return done
  }
  await round(sizes.seconds / 10)
  const began = performance.now()
  const done = await round(sizes.seconds)
  const seconds = (performance.now() - began) / 1000
  await Promise.all(sessions.map((session) => session.end()))
  return done / seconds
}
