/** How long single picks take when the line is long, or when its head is running. */
import type { Experiment, Row, Scene } from '../experiment.ts'
import type { Session } from '../peers/peer.ts'
import { connect, type Connection } from '../postgres.ts'
import { percentile } from '../statistics.ts'

/** One statement adds no more at a time. */
const CHUNK = 100_000

const number = (n: number): string => n.toLocaleString('en')

export const backlog: Experiment = {
  name: 'backlog',
  title: 'a pick from a long line',
  rows: ({ backlogs }) => [
    ...backlogs.map((jobs): Row => ({ id: `backlog-${jobs}`, title: `pick 1 of ${number(jobs)} waiting, p99`, unit: 'ms', better: 'less' })),
    { id: 'backlog-growth', title: `p99 at ${number(backlogs.at(-1)!)} of that at ${number(backlogs[0]!)}`, unit: 'times', better: 'less' },
  ],
  takes: (peer) => peer.openSession !== undefined && peer.name !== 'pgq-no-history',
  is_long: true,
  async measure(scene) {
    const { peer, place, sizes: { backlogs, picks } } = scene
    await using client = await connect(place.database_url)
    const session = await peer.openSession!(place.database_url)
    const figures: Record<string, number | undefined> = {}
    let waiting = 0
    for (const jobs of backlogs) {
      await fill(scene, client, jobs - waiting)
      const times = await timePicks(session, picks)
      waiting = jobs - picks
      figures[`backlog-${jobs}`] = percentile(times, 99)
    }
    figures['backlog-growth'] = figures[`backlog-${backlogs.at(-1)!}`]! / figures[`backlog-${backlogs[0]!}`]!
    await session.end()
    return figures
  },
}

export const running_head: Experiment = {
  name: 'running-head',
  title: 'a pick behind running jobs',
  rows: ({ running_head }) => [50, 99].map((percent) => ({
    id: `running-head-p${percent}`, title: `pick 1 behind ${number(running_head)} running, p${percent}`, unit: 'ms', better: 'less',
  })),
  takes: (peer) => peer.openSession !== undefined && peer.name !== 'pgq-no-history',
  is_long: true,
  async measure(scene) {
    const { peer, place, sizes } = scene
    await using client = await connect(place.database_url)
    const session = await peer.openSession!(place.database_url)
    await fill(scene, client, sizes.running_head + sizes.picks * 2)
    for (let running = 0; running < sizes.running_head; running += 100) await session.pick(100)
    const times = await timePicks(session, sizes.picks)
    await session.end()
    return { 'running-head-p50': percentile(times, 50), 'running-head-p99': percentile(times, 99) }
  },
}

/** Adds the jobs, and gives all the same good statistics. */
async function fill({ peer }: Scene, client: Connection, jobs: number): Promise<void> {
  for (let left = jobs; left > 0; left -= CHUNK) await client.query(peer.sql!.fill(Math.min(CHUNK, left)))
  await client.query('VACUUM ANALYZE')
}

/** Milliseconds of each pick; the releases in between do not count. */
async function timePicks(session: Session, picks: number): Promise<number[]> {
  const times: number[] = []
  for (let n = 0; n < picks; n++) {
    const began = performance.now()
    const held = await session.pick(1)
    times.push(performance.now() - began)
    if (held.length !== 1) throw new Error(`picked ${held.length} jobs where 1 was asked for and many wait`)
    await session.release(held)
  }
  return times
}
