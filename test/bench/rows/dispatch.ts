/** Jobs pushed to local HTTP endpoints, signed: to one, and to 20 of which one hangs. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PgQueue, PostgresDb, type EndpointDetails } from '../../../sdk-ts/src/index.ts'
import { DISPATCHERS, type DispatcherKind } from '../dispatch/dispatchers.ts'
import { startEndpoints, type Endpoints } from '../dispatch/endpoints.ts'
import type { Experiment, Figures, Scene } from '../experiment.ts'
import { payload, payloads } from '../payload.ts'
import { QUEUE } from '../peers/peer.ts'
import type { Sizes } from '../sizes.ts'
import { percentile } from '../statistics.ts'

const MANY = 20
/** Let the dispatcher become idle first. */
const [SHORTEST_GAP, LONGEST_GAP] = [10, 60]
/** Enough for the one that hangs to fill all that it may. */
const HANGING_JOBS = 500

const CASES = [
  { id: '1', title: '1 endpoint', endpoints: 1, hanging: -1 },
  { id: '20', title: `${MANY} endpoints of which one hangs`, endpoints: MANY, hanging: 0 },
] as const

export const dispatch: Experiment = {
  name: 'dispatch',
  title: 'HTTP dispatch',
  rows: (sizes) => DISPATCHERS.flatMap((kind) => CASES.map((one) => ({ kind, name: kind.name, title: kind.title, one }))).flatMap(({ kind, name, title, one }) => [
    { id: `dispatch-${name}-${one.id}`, title: `${title}, ${one.title}, ${jobsOf(kind, sizes).toLocaleString('en')} jobs`, unit: 'jobs/s', better: 'more' as const },
    ...[50, 99].map((percent) => (
      { id: `dispatch-${name}-${one.id}-p${percent}`, title: `${title}, ${one.title}: add to answer, p${percent}`, unit: 'ms', better: 'less' as const }
    )),
  ]),
  takes: (peer) => peer.name === 'pgq',
  is_long: true,
  async measure(scene) {
    let figures: Figures = {}
    for (const kind of DISPATCHERS) for (const one of CASES) figures = { ...figures, ...(await measureCase(scene, kind, one)) }
    return figures
  },
}

const jobsOf = ({ share = 1 }: DispatcherKind, { many }: Sizes): number => Math.round((many / 5) * share)

async function measureCase({ place, sizes }: Scene, kind: DispatcherKind, { id, endpoints: count, hanging }: (typeof CASES)[number]): Promise<Figures> {
  const db = new PostgresDb(place.database_url)
  await using endpoints = await startEndpoints(count, hanging)
  const queues = await Promise.all(endpoints.urls.map((endpoint_url, n) => (
    endpointQueue(db, `${QUEUE}_${kind.name}_${id}_${n}`, { endpoint_url, ...kind.endpoint, ...(n === hanging && kind.hanging_endpoint) })
  )))
  const healthy = queues.filter((_, n) => n !== hanging)
  await using _dispatcher = await kind.start(place)
  if (hanging >= 0) {
    await queues[hanging]!.addJobs(payloads(HANGING_JOBS))
    await endpoints.hangs
    await sleep(200)
  }
  await drained(db, healthy, sizes.warm_up)
  const latencies = await latenciesOf(endpoints, healthy, sizes.latency_samples, sizes.latency_seconds)
  const jobs_per_second = await drained(db, healthy, jobsOf(kind, sizes))
  // What this one leaves is not for the next.
  await db.query({ q: 'SELECT pgq.remove_endpoint(s.queue_name) FROM pgq.endpoint_status() AS s', args: [] })
  await db.end()
  return {
    [`dispatch-${kind.name}-${id}`]: jobs_per_second,
    [`dispatch-${kind.name}-${id}-p50`]: percentile(latencies, 50),
    [`dispatch-${kind.name}-${id}-p99`]: percentile(latencies, 99),
  }
}

async function endpointQueue(db: PostgresDb, queue_name: string, details: EndpointDetails): Promise<PgQueue<object>> {
  const queue = new PgQueue<object>(db, queue_name)
  await queue.getConfig().setEndpoint(true, { ...details, endpoint_is_insecure_allowed: true })
  await queue.getConfig().rotateSigningSecret()
  return queue
}

/** Jobs a second, from before the add to the last that is recorded. */
async function drained(db: PostgresDb, queues: readonly PgQueue<object>[], jobs: number): Promise<number> {
  const each = Math.ceil(jobs / queues.length)
  const names = JSON.stringify(queues.map((queue) => queue.queue_name))
  const began = performance.now()
  await Promise.all(queues.map((queue) => queue.addJobs(payloads(each))))
  for (let left = '1'; left !== '0'; await sleep(5)) {
    const { rows } = await db.query<{ left: string }>({
      q: `SELECT count(*)::text AS left FROM pgq.job AS j JOIN pgq.queue AS q USING (queue_id)
        WHERE q.queue_name IN (SELECT jsonb_array_elements_text($1::text::jsonb))`,
      args: [names],
    })
    left = rows[0]!.left
  }
  return (each * queues.length) / ((performance.now() - began) / 1000)
}

async function latenciesOf(endpoints: Endpoints, queues: readonly PgQueue<object>[], samples: number, seconds: number): Promise<number[]> {
  const latencies: number[] = []
  for (const ends_at = performance.now() + seconds * 1000; latencies.length < samples && performance.now() < ends_at;) {
    await sleep(SHORTEST_GAP + Math.random() * (LONGEST_GAP - SHORTEST_GAP))
    const answered = endpoints.nextLatency()
    await queues[latencies.length % queues.length]!.addJob({ ...payload(1), sent_at: Number(process.hrtime.bigint()) })
    latencies.push(await answered)
  }
  return latencies
}
