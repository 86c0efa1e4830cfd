/** pgq's workflows, with all defaults: of three steps, and one that starts children. */
import { MultiStepPgQueue, PgQueue, PostgresDb, startChildren, startWorker, type Worker } from '../../../sdk-ts/src/index.ts'
import { payloads } from '../payload.ts'
import { QUEUE, type Producer, type RunningWorker, type Work, type WorkerOptions } from './peer.ts'

type Options = Pick<WorkerOptions, 'on_job' | 'on_begin'>
const NOTHING: Options = { on_job() {}, on_begin() {} }

function threeSteps(db: PostgresDb, queue_name: string, { on_begin, on_job } = NOTHING): MultiStepPgQueue<object> {
  return new MultiStepPgQueue<object>(db, queue_name, 'three', [
    {
      id: 'one',
      async handler() {
        on_begin()
        return { step: 1 }
      },
    },
    { id: 'two', handler: async () => ({ step: 2 }) },
    { id: 'three', handler: async (payload) => on_job(payload) },
  ])
}

function fanOut(db: PostgresDb, queue_name: string, { on_begin, on_job } = NOTHING): MultiStepPgQueue<object> {
  return new MultiStepPgQueue<{ children?: number }>(db, queue_name, 'fan_out', [
    {
      id: 'start',
      handler({ children = 0 }) {
        on_begin()
        return startChildren(payloads(children).map((payload) => ({ payload })))
      },
    },
    {
      id: 'gather',
      handler(payload, _job_id, { children }) {
        if (children.length !== (payload.children ?? 0)) throw new Error(`${children.length} results came`)
        on_job(payload)
      },
    },
  ])
}

export const pgq_runs: Work = {
  openProducer: ({ database_url }, connections) => produce(database_url, connections, threeSteps),
  async startWorker({ database_url }, { queue_names, ...options }) {
    const db = new PostgresDb(database_url)
    return running(startWorker(queue_names.map((name) => threeSteps(db, name, options))), db)
  },
}

export const pgq_fan_outs: Work = {
  openProducer: ({ database_url }, connections) => produce(database_url, connections, fanOut),
  async startWorker({ database_url }, { queue_names, ...options }) {
    const db = new PostgresDb(database_url)
    const queues = queue_names.flatMap((name) => [fanOut(db, name, options), new PgQueue<{ to: string }>(db, name)])
    return running(startWorker(queues, async ({ to }) => ({ sent_to: to })), db)
  },
}

async function produce(database_url: string, connections: number, workflow: typeof threeSteps): Promise<Producer> {
  const db = openPool(database_url, connections)
  const runs = workflow(db, QUEUE)
  return {
    add: (payload) => runs.addJob(payload),
    addMany: (payloads) => runs.addJobs(payloads),
    isDrained: () => isDrained(db),
    end: () => db.end(),
  }
}

/** The driver takes a pool's size only beside the parts of an address. */
export function openPool(database_url: string, max: number): PostgresDb {
  const { hostname, port, username, pathname } = new URL(database_url)
  return new PostgresDb({ host: hostname, port: Number(port), user: username, database: decodeURIComponent(pathname.slice(1)), max })
}

export async function isDrained(db: PostgresDb): Promise<boolean> {
  const { rows } = await db.query<{ drained: boolean }>({ q: 'SELECT NOT EXISTS (SELECT FROM pgq.job) AS drained' })
  return rows[0]!.drained
}

export function running(worker: Worker, db: PostgresDb): RunningWorker {
  return {
    async stop() {
      await worker.stop()
      await db.end()
    },
  }
}
