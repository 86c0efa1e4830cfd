/** One run that starts very many children, which do nothing, and gets their results; all by one worker process. */
import { drain } from '../drain.ts'
import type { Experiment } from '../experiment.ts'

export const fan_out: Experiment = {
  name: 'fan-out',
  title: 'a run with very many children',
  rows: ({ children }) => [
    { id: 'fan-out', title: `a run starts ${children.toLocaleString('en')} children, and has their results`, unit: 's', better: 'less' },
    { id: 'fan-out-memory', title: 'most memory of its worker', unit: 'MB', better: 'less' },
  ],
  takes: (peer) => peer.fan_outs !== undefined && peer.name !== 'pgq-no-history',
  async measure(scene) {
    const { seconds, peak_rss_bytes } = await drain(scene, { kind: 'fan_outs', jobs: [{ children: scene.sizes.children }] })
    return { 'fan-out': seconds, 'fan-out-memory': peak_rss_bytes / 2 ** 20 }
  },
}
