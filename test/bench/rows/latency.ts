/** From the call that adds a job to the start of its handler in another process, whose worker is idle. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Experiment } from '../experiment.ts'
import { payload } from '../payload.ts'
import { QUEUE } from '../peers/peer.ts'
import { percentile } from '../statistics.ts'
import { startWorkerProcess } from '../worker-process.ts'

const PERCENTILES = [50, 95, 99] as const
/** Let the worker become idle first: a wait of random length, so that no poll is met always at the same point. */
const [SHORTEST_GAP, LONGEST_GAP] = [10, 60]

export const latency: Experiment = {
  name: 'latency',
  title: 'latency with an idle worker',
  rows: () => PERCENTILES.map((percent) => ({
    id: `latency-p${percent}`, title: `add to handler start, idle worker, default settings, p${percent}`, unit: 'ms', better: 'less',
  })),
  takes: (peer) => peer.name !== 'pgq-no-history',
  is_long: true,
  async measure({ peer, place, sizes }) {
    const producer = await peer.openProducer(place, 1)
    await using worker = await startWorkerProcess({ peer: peer.name, place, queue_names: [QUEUE], settings: 'default', kind: 'jobs' })
    await worker.start()

    const once = async (): Promise<number> => {
      await sleep(SHORTEST_GAP + Math.random() * (LONGEST_GAP - SHORTEST_GAP))
      const arrived = worker.nextLatency()
      await producer.add({ ...payload(1), sent_at: Number(process.hrtime.bigint()) })
      return arrived
    }
    for (let n = 0; n < sizes.latency_samples / 100; n++) await once()
    const samples: number[] = []
    // A worker that polls takes seconds for each: then fewer must do.
    const ends_at = performance.now() + sizes.latency_seconds * 1000
    while (samples.length < sizes.latency_samples && performance.now() < ends_at) samples.push(await once())
    await producer.end()
    return Object.fromEntries(PERCENTILES.map((percent) => [`latency-p${percent}`, percentile(samples, percent)]))
  },
}
