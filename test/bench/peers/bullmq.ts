/** BullMQ on Redis, what it was made for, and on Postgres, which it offers since version 6. */
import { createPostgresBackend, Queue, Worker, type QueueOptions, type WorkerOptions } from 'bullmq'
import { QUEUE, type Peer, type Place } from './peer.ts'

/** On Redis its documents speak of 100 to 300, and more was quicker; on Postgres nothing from 24 to 100 made a difference. */
const CONCURRENCY = { redis: 300, postgres: 50 } as const
/** More in one call is one long transaction in Redis. */
const BULK = 10_000

export function bullmq(stores_in: 'postgres' | 'redis'): Peer {
  const is_redis = stores_in === 'redis'
  const factory = is_redis ? undefined : createPostgresBackend as never

  function openQueue(place: Place, name: string, connections: number, more: object = {}): Queue {
    return new Queue(name, { connection: { ...connection(place, connections), ...more }, defaultJobOptions: { removeOnComplete: true } } as QueueOptions, factory as never)
  }

  function connection(place: Place, connections: number): object {
    return is_redis ? { url: place.redis_url, maxRetriesPerRequest: null } : { connectionString: place.database_url, max: connections }
  }

  return {
    name: is_redis ? 'bullmq-redis' : 'bullmq-postgres',
    title: is_redis ? 'BullMQ (Redis)' : 'BullMQ (Postgres)',
    about: is_redis
      ? `Worker with concurrency ${CONCURRENCY.redis}, removeOnComplete; Redis with appendonly yes, appendfsync everysec, noeviction, as its page "Going to production" recommends (so up to a second of jobs may be lost). Adding: add, addBulk by ${BULK}. 30 % of the jobs`
      : `the same API with createPostgresBackend, pool of 25, concurrency ${CONCURRENCY.postgres}, removeOnComplete. 3 % of the jobs`,
    stores_in,
    npm_package: 'bullmq',
    ...(is_redis ? { share: 0.3 } : {
      schema: 'bullmq',
      share: 0.03,
      async install(place: Place) {
        const queue = openQueue(place, QUEUE, 1, { migrate: true })
        await queue.waitUntilReady()
        await queue.close()
      },
    }),

    async openProducer(place, connections) {
      const queues = new Map<string, Queue>()
      const queueOf = (name: string): Queue => {
        if (!queues.has(name)) queues.set(name, openQueue(place, name, name === QUEUE ? connections : 1))
        return queues.get(name)!
      }
      await queueOf(QUEUE).waitUntilReady()
      return {
        add: (payload) => queueOf(QUEUE).add('job', payload),
        async addMany(payloads, name = QUEUE) {
          for (let from = 0; from < payloads.length; from += BULK) {
            await queueOf(name).addBulk(payloads.slice(from, from + BULK).map((data) => ({ name: 'job', data })))
          }
        },
        async isDrained() {
          for (const queue of queues.values()) if (await queue.getJobCountByTypes('wait', 'active', 'prioritized') > 0) return false
          return true
        },
        async end() {
          for (const queue of queues.values()) await queue.close()
        },
      }
    },

    async startWorker(place, { queue_names, settings, on_job }) {
      const workers = queue_names.map((name) => new Worker(name, async (job) => on_job(job.data), {
        connection: connection(place, queue_names.length > 1 ? 2 : 25),
        ...(settings === 'best' && { concurrency: CONCURRENCY[stores_in], removeOnComplete: { count: 0 } }),
      } as WorkerOptions, factory as never))
      for (const worker of workers) worker.on('error', (error) => console.error(`BullMQ: ${error.message}`))
      await Promise.all(workers.map((worker) => worker.waitUntilReady()))
      return {
        async stop() {
          await Promise.all(workers.map((worker) => worker.close()))
        },
      }
    },
  }
}
