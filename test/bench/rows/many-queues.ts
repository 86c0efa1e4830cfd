/** One worker process for many queues, the jobs spread over them. */
import { drain } from '../drain.ts'
import { share, type Experiment } from '../experiment.ts'
import { payloads } from '../payload.ts'
import { QUEUE } from '../peers/peer.ts'

export const many_queues: Experiment = {
  name: 'many-queues',
  title: 'many queues, one worker process',
  rows: ({ queues, many }) => [{
    id: 'many-queues', title: `${queues} queues, one Node process, ${(many / 5).toLocaleString('en')} jobs`, unit: 'jobs/s', better: 'more',
  }],
  takes: (peer) => peer.name !== 'pgq-no-history',
  is_long: true,
  is_repetitive: true,
  async measure(scene) {
    const queue_names = Array.from({ length: scene.sizes.queues }, (_, n) => `${QUEUE}_${n}`)
    const jobs = payloads(Math.max(share(scene.peer, scene.sizes.many / 5), queue_names.length))
    return { 'many-queues': (await drain(scene, { queue_names, jobs })).jobs_per_second }
  },
}
