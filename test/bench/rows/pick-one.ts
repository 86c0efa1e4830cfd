/** Picking one job and completing it, by SQL from pgbench: in two calls, and in one where there is one. */
import type { Experiment, Row } from '../experiment.ts'
import { connect } from '../postgres.ts'
import { pgbench } from '../pgbench.ts'

const CLIENTS = [1, 4, 16] as const
const WAYS = [['two', 'two calls'], ['one', 'one call (release_and_pick)']] as const

export const pick_one: Experiment = {
  name: 'pick-one',
  title: 'pick 1, release 1',
  rows: () => CLIENTS.flatMap((clients) => WAYS.map(([way, words]): Row => ({
    id: `pick-1-${way}-${clients}`, title: `pick 1 + release 1, ${clients} client${clients > 1 ? 's' : ''}, ${words}`, unit: 'jobs/s', better: 'more',
    compare_with: `pick-1-two-${clients}`,
  }))),
  takes: (peer) => peer.pickScripts !== undefined,
  async measure({ peer, place, server, sizes }) {
    const { two_calls, one_call } = await peer.pickScripts!(place.database_url)
    const figures: Record<string, number> = {}
    await using client = await connect(place.database_url)
    for (const [way, script] of [['two', two_calls], ['one', one_call]] as const) {
      if (script === undefined) continue
      // (Each client of one call ends with a job in its hands. No lease runs out before all is measured.)
      for (const clients of CLIENTS) {
        await client.query(peer.sql!.fill(sizes.stock))
        figures[`pick-1-${way}-${clients}`] = await pgbench(server, place.database_url, script, clients, sizes)
      }
    }
    return figures
  },
}
