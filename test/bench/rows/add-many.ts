/** Adding many jobs: by the bulk API from Node, and by one statement inside SQL. */
import { share, type Experiment } from '../experiment.ts'
import { payloads } from '../payload.ts'
import { connect } from '../postgres.ts'
import { adds } from './add-one.ts'

export const add_many_node: Experiment = {
  name: 'add-many-node',
  title: 'add many jobs from Node',
  rows: ({ many }) => [{ id: 'add-many-node', title: `add ${many.toLocaleString('en')} from Node`, unit: 'jobs/s', better: 'more' }],
  takes: adds,
  async measure({ peer, place, sizes }) {
    const producer = await peer.openProducer(place, 16)
    await producer.addMany(payloads(sizes.warm_up))
    const batch = payloads(share(peer, sizes.many))
    const began = performance.now()
    await producer.addMany(batch)
    const seconds = (performance.now() - began) / 1000
    await producer.end()
    return { 'add-many-node': batch.length / seconds }
  },
}

export const add_many_sql: Experiment = {
  name: 'add-many-sql',
  title: 'add many jobs inside SQL',
  rows: ({ many }) => [{ id: 'add-many-sql', title: `add ${many.toLocaleString('en')} inside SQL`, unit: 'jobs/s', better: 'more' }],
  takes: (peer) => adds(peer) && peer.sql !== undefined,
  async measure({ peer, place, sizes }) {
    await using client = await connect(place.database_url)
    await client.query(peer.sql!.fill(sizes.warm_up))
    const jobs = share(peer, sizes.many)
    const began = performance.now()
    await client.query(peer.sql!.fill(jobs))
    return { 'add-many-sql': jobs / ((performance.now() - began) / 1000) }
  },
}
