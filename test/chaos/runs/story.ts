/** The workflow whose workers are killed: what its runs do, and what each step must see when it does it. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import {
  completeJob, failJob, MultiStepPgQueue, PgQueue, sleepFor, startChildren, waitForSignal, type PostgresDb, type Queryable, type Step, type StepContext,
} from '../../../sdk-ts/src/index.ts'
import type { Chance } from '../../support/random.ts'

/** What a run meets is decided when it is added. */
export interface Story {
  readonly n: number
  /** Plain jobs that it starts as children, in a queue of their own. */
  readonly parts: number
  /** The last of them fails for good. */
  readonly has_bad_part: boolean
  /** Runs of another workflow that it starts as children, later. */
  readonly sub_runs: number
  readonly sleep_milliseconds: number
  /** When its signal comes: before a step asks for it, some time, or never. */
  readonly signal: 'early' | 'some time' | 'never'
}

export interface Part {
  readonly n: number
  readonly part: number
  readonly is_bad: boolean
}

export interface SubRun {
  readonly n: number
  readonly sub_run: number
}

export const STEPS = ['plan', 'gather', 'wait', 'decide', 'close'] as const
export const SIGNAL = 'go'
const SIGNAL_TIMEOUT_MILLISECONDS = 50
/** A handler takes up to so long, before and after each of the things that it does: long enough that many kills meet one. */
const LONGEST_PAUSE_MILLISECONDS = 25

/** Whoever dies is missed soon, and may die very often. */
const STEP_DEFAULTS = {
  custom_timeout_milliseconds: 1000, max_attempts: 1000, pause_between_retries_milliseconds: 1, max_pause_between_retries_milliseconds: 20,
}

export interface StoryQueues {
  readonly stories: MultiStepPgQueue<Story>
  readonly sub_runs: MultiStepPgQueue<SubRun>
  readonly parts: PgQueue<Part>
  handlePart(part: Part): unknown
}

/** `chance` decides how long the handlers take; `on_begin` is called by each. */
export function storyQueues(db: PostgresDb, chance: Chance, on_begin: () => void = () => {}): StoryQueues {
  const actor = createActor(db, chance, on_begin)
  const workflow = <T>(id: string, steps: readonly Step<T>[]): MultiStepPgQueue<T> =>
    new MultiStepPgQueue<T>(db, 'stories', id, steps, undefined, undefined, { step_defaults: STEP_DEFAULTS })
  const sub_runs = workflow('sub_run', subRunSteps(actor))
  const parts = new PgQueue<Part>(db, 'parts')
  const stories = workflow('story', [...beginning(actor, parts.queue_name), ...ending(actor, sub_runs)])
  return {
    stories, sub_runs, parts,
    async handlePart({ n, part, is_bad }) {
      on_begin()
      await actor.pause()
      return is_bad ? failJob('as it was told', { retry: false }) : { n, part }
    },
  }
}

interface Actor {
  pause(): Promise<void>
  /** Notes what a step sees that is not its own. */
  expectSame(context: StepContext, what: string, seen: unknown, expected: unknown): Promise<void>
  /** One attempt: its effect is written in the transaction that finishes the step, and tells which attempt has won. */
  act(n: number, context: StepContext, outcomeOf: (output: object) => unknown): Promise<void>
}

function createActor(db: PostgresDb, chance: Chance, on_begin: () => void): Actor {
  const pause = (): Promise<void> => sleep(chance.between(0, LONGEST_PAUSE_MILLISECONDS))
  return {
    pause,

    async expectSame({ job_id, step }, what, seen, expected) {
      if (isDeepStrictEqual(seen, expected)) return
      await insert(db, 'mix_up', { job_id, step, what, seen: JSON.stringify(seen), expected: JSON.stringify(expected) })
    },

    async act(n, context, outcomeOf) {
      on_begin()
      const { job_id, step } = context
      const output = { n, step, by: randomUUID() }
      await insert(db, 'begun', { job_id, step })
      await pause()
      await db.transaction(async (transaction) => {
        await insert(transaction, 'effect', { job_id, step, output: JSON.stringify(output) })
        await pause()
        await context.finish(outcomeOf(output), { transaction })
        await pause()
      })
    },
  }
}

const subRunSteps = ({ act, expectSame, pause }: Actor): Step<SubRun>[] => [
  { id: 'first', handler: ({ n }, _job_id, context) => act(n, context, completeJob) },
  {
    id: 'second',
    async handler({ n, sub_run }, _job_id, context) {
      await expectSame(context, 'steps with outputs', Object.keys(context.outputs), ['first'])
      await pause()
      return { n, sub_run, first: context.outputs['first'] }
    },
  },
]

const beginning = ({ act, expectSame }: Actor, queue_name: string): Step<Story>[] => [
  {
    id: 'plan',
    async handler({ n, parts, has_bad_part }, _job_id, context) {
      const children = Array.from({ length: parts }, (_, part) => ({ queue_name, payload: { n, part, is_bad: has_bad_part && part === parts - 1 } }))
      await act(n, context, (output) => startChildren(children, { failed_children: 'ignore', output }))
    },
  },
  {
    id: 'gather',
    async handler({ n, parts, has_bad_part, sleep_milliseconds }, _job_id, context) {
      const seen = context.children.map(({ state, output }) => (state === 'complete' ? output : state))
      const expected = Array.from({ length: parts }, (_, part) => (has_bad_part && part === parts - 1 ? 'dead' : { n, part }))
      await expectSame(context, 'children', seen, expected)
      await act(n, context, (output) => sleepFor(sleep_milliseconds, output))
    },
  },
]

const ending = ({ act, expectSame }: Actor, sub_runs: MultiStepPgQueue<SubRun>): Step<Story>[] => [
  {
    id: 'wait',
    async handler({ n, signal }, _job_id, context) {
      await expectSame(context, 'children after those of the step before', context.children, [])
      const limit = signal === 'never' ? { timeout_milliseconds: SIGNAL_TIMEOUT_MILLISECONDS } : {}
      await act(n, context, (output) => waitForSignal(SIGNAL, { ...limit, output }))
    },
  },
  {
    id: 'decide',
    async handler({ n, signal, sub_runs: count }, _job_id, context) {
      await expectSame(context, 'signal', context.received_signal, signal === 'never' ? undefined : { name: SIGNAL, payload: { n } })
      const children = Array.from({ length: count }, (_, sub_run) => sub_runs.asChild({ n, sub_run }))
      await act(n, context, (output) => startChildren(children, { output }))
    },
  },
  {
    id: 'close',
    async handler({ n, sub_runs: count }, _job_id, context) {
      const seen = context.children.map(({ output }) => output as SubRun)
      const expected = Array.from({ length: count }, (_, sub_run) => ({ n, sub_run }))
      await expectSame(context, 'sub-runs', seen.map(({ n: of, sub_run }) => ({ n: of, sub_run })), expected)
      await act(n, context, (output) => completeJob({ ...context.outputs, close: output, sub_runs: seen }))
    },
  },
]

/** The tables in which the handlers tell what they have done and seen. */
export const TABLES = `
  CREATE TABLE begun (job_id bigint NOT NULL, step text NOT NULL);
  CREATE TABLE effect (job_id bigint NOT NULL, step text NOT NULL, output jsonb NOT NULL);
  CREATE TABLE mix_up (job_id bigint NOT NULL, step text NOT NULL, what text NOT NULL, seen jsonb, expected jsonb);
  CREATE INDEX ON effect (job_id);`

async function insert(db: Queryable, table: string, row: Readonly<Record<string, string | number | undefined>>): Promise<void> {
  const columns = Object.keys(row)
  const types: Readonly<Record<string, string>> = { job_id: 'bigint', output: 'jsonb', seen: 'jsonb', expected: 'jsonb' }
  const values = columns.map((column, place) => `$${place + 1}::text::${types[column] ?? 'text'}`)
  await db.query({
    q: `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${values.join(', ')})`,
    args: Object.values(row).map((value) => (value === undefined ? null : String(value))),
  })
}
