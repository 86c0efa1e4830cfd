/** Larger payloads, of text that hardly compresses: added by the bulk API and drained by one process. */
import { drain } from '../drain.ts'
import { share, type Experiment } from '../experiment.ts'
import { largePayload } from '../payload.ts'

const nameOf = (bytes: number): string => `${bytes / 1000} kB`

export const payload_size: Experiment = {
  name: 'payload-size',
  title: 'larger payloads',
  rows: ({ payloads }) => payloads.flatMap(([bytes]) => [
    { id: `payload-add-${bytes}`, title: `payload of ${nameOf(bytes)}: add from Node`, unit: 'jobs/s', better: 'more' as const },
    { id: `payload-drain-${bytes}`, title: `payload of ${nameOf(bytes)}: drain, one Node process`, unit: 'jobs/s', better: 'more' as const },
  ]),
  takes: () => true,
  is_long: true,
  is_repetitive: true,
  async measure(scene) {
    const figures: Record<string, number> = {}
    for (const [bytes, count] of scene.sizes.payloads) {
      const jobs = Array.from({ length: share(scene.peer, count) }, () => largePayload(bytes))
      // Some peers fetch most of these jobs before they start the first handler.
      const { added_per_second, jobs_per_second_with_start } = await drain(scene, { jobs })
      figures[`payload-add-${bytes}`] = added_per_second
      figures[`payload-drain-${bytes}`] = jobs_per_second_with_start
    }
    return figures
  },
}
