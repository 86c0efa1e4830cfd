/**
 * Worker processes are killed 200 times while 500 runs of a workflow of five steps go on: with children, sleeps and signals.
 * PGQ_TEST_SEED=… repeats the choices of a run (not the pace, so a failure may need some tries).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresDb } from '../../sdk-ts/src/index.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { chanceOf, chooseSeed, type Chance } from '../support/random.ts'
import { openSession, type Session } from '../support/session.ts'
import { SIGNAL, STEPS, storyQueues, TABLES, type Story, type StoryQueues } from './runs/story.ts'
import { bundleWorker, startWorkerProcess, type WorkerProcess } from './runs/worker-process.ts'

const RUNS = 500
const KILLS = 200
const WORKERS = 4
const LONGEST_PAUSE_MILLISECONDS = 400
/** On a machine that has much else to do; alone on two cores it takes about a minute. */
const LONGEST_FIGHT_MILLISECONDS = 900_000
/** Longer than any run needs when nobody is killed any more. */
const LONGEST_END_MILLISECONDS = 300_000

describe(`${KILLS} killed workers while ${RUNS} runs go on`, () => {
  const seed = chooseSeed()
  let cluster: Cluster
  let sql: Session
  let db: PostgresDb
  /** By the ids of their runs. */
  const stories = new Map<number, Story>()
  let kills = 0

  beforeAll(async () => {
    console.log(`seed ${seed}`)
    cluster = await startCluster()
    cluster.psql(`CREATE EXTENSION pgq; ${TABLES}`)
    sql = openSession(cluster.url)
    db = new PostgresDb(cluster.url)
    const began = performance.now()
    await fight(chanceOf(seed))
    console.log(`${Math.round(performance.now() - began)} ms, ${kills} kills`)
  }, LONGEST_FIGHT_MILLISECONDS)

  afterAll(async () => {
    await db?.end()
    await sql?.end()
    await cluster?.[Symbol.asyncDispose]()
  })

  async function fight(chance: Chance): Promise<void> {
    const queues = storyQueues(db, chance.fork())
    await queues.parts.getConfig().set({ max_attempts: 1000, timeout_milliseconds: 1000, pause_between_retries_milliseconds: 1, max_pause_between_retries_milliseconds: 20 })
    const program = await bundleWorker()
    const start = (): Promise<WorkerProcess> => startWorkerProcess(program, cluster.url, chance.between(0, 2 ** 32))
    const workers = Array.from({ length: WORKERS }, start)
    const signals: Promise<unknown>[] = []
    while (kills < KILLS) {
      const due = Math.ceil((RUNS * (kills + 1)) / KILLS)
      while (stories.size < due) await begin(queues, chance, signals)
      await sleep(chance.between(0, LONGEST_PAUSE_MILLISECONDS))
      const place = chance.between(0, WORKERS - 1)
      await (await workers[place]!).kill9()
      kills += 1
      workers[place] = start()
    }
    await Promise.all(signals)
    const late = performance.now() + LONGEST_END_MILLISECONDS
    while (performance.now() < late && (await sql`SELECT FROM pgq.job LIMIT 1`).length > 0) await sleep(50)
    await Promise.all(workers.map(async (worker) => (await worker).stop()))
  }

  /** Adds a run. An early signal is sent in the same transaction, so that no step has run before; a later one goes to `signals`. */
  async function begin({ stories: queue }: StoryQueues, chance: Chance, signals: Promise<unknown>[]): Promise<void> {
    const story: Story = {
      n: stories.size, parts: chance.between(0, 6), has_bad_part: chance.happens(0.2), sub_runs: chance.oneOf([0, 1, 1, 3]),
      sleep_milliseconds: chance.oneOf([0, 20, 500, 1500]), signal: chance.oneOf(['early', 'early', 'some time', 'some time', 'never']),
    }
    const delay = chance.between(0, 3000)
    const job_id = await db.transaction(async (transaction) => {
      const { job_id } = await queue.addJob(story, { transaction })
      stories.set(job_id, story)
      if (story.signal === 'early') await queue.signalJob(job_id, SIGNAL, { n: story.n }, { transaction })
      return job_id
    })
    if (story.signal === 'some time') signals.push(sleep(delay).then(() => queue.signalJob(job_id, SIGNAL, { n: story.n })))
  }

  test('every run ends', async () => {
    const ended = await sql<{ job_id: number; state: string; error: string | null }[]>`
      SELECT f.job_id, f.state, f.error FROM pgq.finished_job AS f WHERE f.workflow = 'story'`
    expect(ended.filter(({ state }) => state !== 'complete')).toEqual([])
    expect(ended.map(({ job_id }) => job_id).sort((a, b) => a - b)).toEqual([...stories.keys()])
    expect(stories.size).toBe(RUNS)
    expect(await sql`SELECT j.job_id, j.step, j.held_by FROM pgq.job AS j`).toEqual([])
  })

  test('each step has had its effect exactly once, although many attempts have begun', async () => {
    const effects = await sql<{ job_id: number; steps: string[] }[]>`
      SELECT e.job_id, array_agg(e.step ORDER BY e.step) AS steps FROM effect AS e GROUP BY e.job_id`
    const wrong = effects.filter(({ job_id, steps }) => stories.has(job_id)
      ? steps.join() !== [...STEPS].sort().join()
      : steps.join() !== 'first')
    expect(wrong).toEqual([])
    const sub_runs = [...stories.values()].reduce((sum, story) => sum + story.sub_runs, 0)
    expect(effects).toHaveLength(RUNS + sub_runs)
    const [{ begun, done }] = await sql<[{ begun: number; done: number }]>`
      SELECT (SELECT count(*) FROM begun)::integer AS begun, (SELECT count(*) FROM effect)::integer AS done`
    console.log(`${done} steps were done in ${begun} attempts`)
    // Else the kills have met nobody.
    expect(begun - done).toBeGreaterThan(KILLS / 4)
  })

  test('outputs, children and signals come to the steps of their own run', async () => {
    expect(await sql`SELECT m.job_id, m.step, m.what, m.seen, m.expected FROM mix_up AS m`).toEqual([])
    const runs = await sql<{ job_id: number; output: Record<string, unknown>; written: Record<string, unknown> }[]>`
      SELECT f.job_id, f.output - 'sub_runs' AS output,
             (SELECT jsonb_object_agg(e.step, e.output) FROM effect AS e WHERE e.job_id = f.job_id) AS written
      FROM pgq.finished_job AS f WHERE f.workflow = 'story'`
    expect(runs.filter(({ output, written }) => JSON.stringify(output) !== JSON.stringify(written))).toEqual([])
    const subs = await sql<{ output: unknown; written: unknown }[]>`
      SELECT f.output -> 'first' AS output, (SELECT e.output FROM effect AS e WHERE e.job_id = f.job_id) AS written
      FROM pgq.finished_job AS f WHERE f.workflow = 'sub_run'`
    expect(subs.filter(({ output, written }) => JSON.stringify(output) !== JSON.stringify(written))).toEqual([])
  })

  test('nothing is left behind', async () => {
    await sql`SELECT pgq.maintain()`
    const [left] = await sql`
      SELECT (SELECT count(*) FROM pgq.run_wait) AS waits, (SELECT count(*) FROM pgq.child_result) AS results,
             (SELECT count(*) FROM pgq.run_signal) AS signals, (SELECT count(*) FROM pgq.run_memory) AS memories`
    expect(left).toEqual({ waits: 0, results: 0, signals: 0, memories: 0 })
    await sql`SELECT FROM pgq.pick_jobs(ARRAY['stories'], 1)`
    expect(await sql`SELECT h.job_id FROM pgq.run_hint AS h`).toEqual([])
  })
})
