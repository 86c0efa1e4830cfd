/** Runs of a workflow of three steps that do nothing, each step recorded before the next, by one worker process. */
import { drain } from '../drain.ts'
import { share, type Experiment } from '../experiment.ts'
import { payloads } from '../payload.ts'

export const workflow: Experiment = {
  name: 'workflow',
  title: 'workflow of three steps',
  rows: ({ runs }) => [
    { id: 'workflow', title: `${runs.toLocaleString('en')} runs of 3 steps, one Node process`, unit: 'runs/s', better: 'more' },
    { id: 'workflow-memory', title: 'most memory of that process', unit: 'MB', better: 'less' },
  ],
  takes: (peer) => peer.runs !== undefined && peer.name !== 'pgq-no-history',
  async measure(scene) {
    const jobs = payloads(share(scene.peer, scene.sizes.runs))
    const { jobs_per_second, peak_rss_bytes } = await drain(scene, { kind: 'runs', jobs })
    return { workflow: jobs_per_second, 'workflow-memory': peak_rss_bytes / 2 ** 20 }
  },
}
