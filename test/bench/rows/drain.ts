/** No-op jobs, done by one worker process and by two. */
import { drain } from '../drain.ts'
import type { Experiment } from '../experiment.ts'

export const drain_one: Experiment = {
  name: 'drain',
  title: 'drain by one process',
  rows: ({ many }) => [
    { id: 'drain-1', title: `drain ${many.toLocaleString('en')}, one Node process`, unit: 'jobs/s', better: 'more' },
    { id: 'drain-memory', title: 'most memory of that process', unit: 'MB', better: 'less' },
  ],
  takes: () => true,
  async measure(scene) {
    const { jobs_per_second, peak_rss_bytes } = await drain(scene, {})
    return { 'drain-1': jobs_per_second, 'drain-memory': peak_rss_bytes / 2 ** 20 }
  },
}

export const drain_two: Experiment = {
  name: 'drain-two',
  title: 'drain by two processes',
  rows: ({ many }) => [{ id: 'drain-2', title: `drain ${many.toLocaleString('en')}, two Node processes`, unit: 'jobs/s', better: 'more' }],
  takes: (peer) => peer.name !== 'pgq-no-history',
  is_long: true,
  is_repetitive: true,
  async measure(scene) {
    return { 'drain-2': (await drain(scene, { processes: 2 })).jobs_per_second }
  },
}
