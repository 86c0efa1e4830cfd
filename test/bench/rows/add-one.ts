/** Adding one job a call: by SQL from pgbench, and by the API from Node. */
import { share, type Experiment, type Row } from '../experiment.ts'
import { payload } from '../payload.ts'
import type { Peer } from '../peers/peer.ts'
import { pgbench } from '../pgbench.ts'

const CALLERS = [1, 16] as const

const rowsBy = (way: 'sql' | 'node'): readonly Row[] => CALLERS.map((callers) => ({
  id: `add-1-${way}-${callers}`, title: `add 1, ${callers} caller${callers > 1 ? 's' : ''}, ${way === 'sql' ? 'SQL' : 'Node'}`, unit: 'jobs/s', better: 'more',
}))

/** Whether history will be kept makes no difference before a job ends. */
export const adds = (peer: Peer): boolean => peer.name !== 'pgq-no-history'

export const add_one_sql: Experiment = {
  name: 'add-one-sql',
  title: 'add single jobs by SQL',
  rows: () => rowsBy('sql'),
  takes: (peer) => adds(peer) && peer.sql !== undefined,
  async measure({ peer, place, server, sizes }) {
    const figures: Record<string, number> = {}
    for (const callers of CALLERS) {
      figures[`add-1-sql-${callers}`] = await pgbench(server, place.database_url, peer.sql!.add, callers, sizes)
    }
    return figures
  },
}

export const add_one_node: Experiment = {
  name: 'add-one-node',
  title: 'add single jobs from Node',
  rows: () => rowsBy('node'),
  takes: adds,
  async measure({ peer, place, sizes }) {
    const figures: Record<string, number> = {}
    for (const callers of CALLERS) {
      const producer = await peer.openProducer(place, callers)
      const addAll = async (jobs: number): Promise<number> => {
        let next = 0
        const began = performance.now()
        await Promise.all(Array.from({ length: callers }, async () => {
          while (next < jobs) await producer.add(payload(next++))
        }))
        return jobs / ((performance.now() - began) / 1000)
      }
      await addAll(sizes.warm_up)
      figures[`add-1-node-${callers}`] = await addAll(share(peer, callers === 1 ? Math.ceil(sizes.singles / 2) : sizes.singles))
      await producer.end()
    }
    return figures
  },
}
