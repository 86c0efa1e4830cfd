/** Lets worker processes work until no job is left; for all rows that drain. */
import { setTimeout as sleep } from 'node:timers/promises'
import { share, type Scene } from './experiment.ts'
import { payloads } from './payload.ts'
import { QUEUE, workOf, type WorkKind } from './peers/peer.ts'
import { startAll } from './start-all.ts'
import { LONGEST_SILENCE_MILLISECONDS, startWorkerProcess } from './worker-process.ts'

export interface Drained {
  readonly seconds: number
  readonly jobs_per_second: number
  /** From the moment at which the workers are told to start: also what they fetch before the first handler starts counts. */
  readonly jobs_per_second_with_start: number
  /** Of the first process. */
  readonly peak_rss_bytes: number
  /** Of adding them, by the bulk API. */
  readonly added_per_second: number
}

export interface DrainOptions {
  readonly jobs?: readonly object[]
  readonly processes?: number
  readonly queue_names?: readonly string[]
  /** @default 'jobs' */
  readonly kind?: WorkKind
}

/**
 * From the first handler's start to the last job recorded as done. The processes have warmed up, and their workers are
 * stopped, while the jobs are added.
 */
export async function drain({ peer, place, sizes }: Scene, options: DrainOptions): Promise<Drained> {
  const { jobs = payloads(share(peer, sizes.many)), processes = 1, queue_names = [QUEUE], kind = 'jobs' } = options
  const producer = await workOf(peer, kind).openProducer(place, 16)
  const addTo = async (batch: readonly object[]): Promise<void> => {
    const length = Math.ceil(batch.length / queue_names.length)
    for (const [index, name] of queue_names.entries()) {
      const part = batch.slice(index * length, (index + 1) * length)
      if (part.length > 0) await producer.addMany(part, name)
    }
  }
  await using workers = await startAll(processes, () => startWorkerProcess({ peer: peer.name, place, queue_names, settings: 'best', kind }))

  async function work(expected: number): Promise<{ seconds: number; with_start: number }> {
    const told_at = Number(process.hrtime.bigint())
    await Promise.all(workers.map((worker) => worker.start()))
    const handled = (): number => workers.reduce((sum, worker) => sum + worker.handled.count, 0)
    let [last_handled, last_at] = [0, performance.now()]
    while (handled() < expected || !(await producer.isDrained())) {
      await sleep(handled() < expected ? 5 : 1)
      if (handled() > last_handled) [last_handled, last_at] = [handled(), performance.now()]
      else if (performance.now() - last_at > LONGEST_SILENCE_MILLISECONDS) throw new Error(`of ${expected} jobs ${last_handled} were handled, then none`)
    }
    const ended_at = Number(process.hrtime.bigint())
    const first_at = Math.min(...workers.map((worker) => worker.handled.first_at || Infinity))
    await Promise.all(workers.map((worker) => worker.stop()))
    return { seconds: (ended_at - first_at) / 1e9, with_start: (ended_at - told_at) / 1e9 }
  }

  const warm_up = payloads(Math.max(share(peer, sizes.warm_up * 4), queue_names.length))
  await addTo(warm_up)
  await work(warm_up.length)

  const began = performance.now()
  await addTo(jobs)
  const adding_seconds = (performance.now() - began) / 1000
  const { seconds, with_start } = await work(jobs.length)
  const peak_rss_bytes = await workers[0]!.peakMemory()
  await producer.end()
  return {
    seconds, jobs_per_second: jobs.length / seconds, jobs_per_second_with_start: jobs.length / with_start,
    peak_rss_bytes, added_per_second: jobs.length / adding_seconds,
  }
}
