/** Runs in the database: what the step at which one stands may know, and its end. Mirrors functions/57-run.sql and 58-step.sql. */
import { backoff, sleep } from './backoff.ts'
import { PgqError } from './errors.ts'
import type { Lease } from './job-source.ts'
import type { JobOutcome } from './outcome.ts'
import type { Queryable } from './queryable.ts'
import { releaseOne, type JobState } from './release.ts'
import { call, callOne, namedArguments, numbersParam, param, quoteName } from './sql-call.ts'
import type { ChildResult, ReceivedSignal, SignalTokenOptions } from './workflow-step.ts'

/** What a step may know beside its job. */
export interface StepState {
  readonly outputs: Readonly<Record<string, unknown>>
  readonly children?: readonly ChildResult[] | null
  readonly signal?: ReceivedSignal | null
  readonly once?: Readonly<Record<string, unknown>> | null
  /** Set when the step is to be compensated. */
  readonly failure?: string | null
}

/** Where a run stands. */
export interface RunPosition {
  readonly workflow: string
  readonly workflow_version: number
  readonly step: string
  /** Undefined when the run has ended meanwhile. */
  state(): Promise<StepState | undefined>
}

/** A step that is done, and what comes then. */
export interface FinishedStep extends Lease {
  /** JSON text, undefined for none. */
  readonly output: string | undefined
  /** JSON text: what SQL calls `next`. */
  readonly next: string | undefined
}

/** The calls of one schema, on one connection or transaction. */
export interface RunCalls {
  /** In no order. */
  states(job_ids: readonly number[]): Promise<(StepState & { job_id: number })[]>
  /** Finishes those that are still held, and tells the ids of the others. */
  finish(steps: readonly FinishedStep[]): Promise<number[]>
  /** Rejects with `lease_lost`. */
  finishOne(step: FinishedStep): Promise<JobState>
  /** Gives the value that holds: the first one of this name. */
  remember(lease: Lease, name: string, value: string): Promise<unknown>
  makeSignalToken(job_id: number, name: string, options: SignalTokenOptions): Promise<string>
}

export function sqlRuns(db: Queryable, schema_name: string): RunCalls {
  const schema = quoteName(schema_name)

  return {
    states(job_ids) {
      return call(db, `SELECT to_json(s)::text AS r FROM ${schema}.get_steps(job_ids => $1::text::bigint[]) AS s`, [numbersParam(job_ids)])
    },

    async finish(steps) {
      const q = `SELECT array_to_json(ARRAY(
        SELECT f.job_id FROM ${schema}.finish_steps(steps => $1::text::jsonb, skip_lost => true) AS f WHERE f.state = 'lost'))::text AS r`
      return callOne(db, q, [`[${steps.map(documentOf).join(',')}]`])
    },

    finishOne({ job_id, lease_token, output, next }) {
      const types = { job_id: 'bigint', lease_token: 'bigint', output: 'jsonb', next: 'jsonb' }
      return callOne(db, `SELECT to_json(${schema}.finish_step(${namedArguments(types)}))::text AS r`, [
        param(job_id), param(lease_token), param(output), param(next),
      ])
    },

    remember({ job_id, lease_token }, name, value) {
      const types = { job_id: 'bigint', lease_token: 'bigint', name: 'text', value: 'jsonb' }
      return callOne(db, `SELECT ${schema}.remember(${namedArguments(types)})::text AS r`, [param(job_id), param(lease_token), name, value])
    },

    makeSignalToken(job_id, name, { valid_milliseconds, transaction = db }) {
      const types = { job_id: 'bigint', name: 'text', ...(valid_milliseconds !== undefined && { valid_milliseconds: 'bigint' }) }
      return callOne(transaction, `SELECT to_json(${schema}.make_signal_token(${namedArguments(types)}))::text AS r`, [
        param(job_id), name, ...(valid_milliseconds !== undefined ? [param(valid_milliseconds)] : []),
      ])
    },
  }
}

/** Of texts, so that outputs are not parsed and written again. */
function documentOf({ job_id, lease_token, output, next }: FinishedStep): string {
  const fields = [`"job_id":${job_id},"lease_token":${lease_token}`]
  if (output !== undefined) fields.push(`"output":${output}`)
  if (next !== undefined) fields.push(`"next":${next}`)
  return `{${fields.join(',')}}`
}

/** Records what became of one step, and gives the new state of its run. Rejects with `lease_lost`. */
export function recordStep(place: Queryable, schema_name: string, { job_id, lease_token }: Lease, outcome: JobOutcome): Promise<JobState> {
  const { result, output, next, error, delay_milliseconds, retry } = outcome
  if (result === 'next' || result === 'complete') return sqlRuns(place, schema_name).finishOne({ job_id, lease_token, output, next })
  return releaseOne(place, schema_name, job_id, result, {
    lease_token, retry, ...(error !== undefined && { error }), ...(delay_milliseconds !== undefined && { delay_milliseconds }),
  })
}

/** How often it is tried to read states from a database that does not answer; then the runs are given back. */
const MAX_TRIES = 6
const FIRST_PAUSE_MILLISECONDS = 100
const LONGEST_PAUSE_MILLISECONDS = 2000

/** States of many runs, read in one call when the first is asked for. */
export function readTogether(runs: RunCalls, job_ids: readonly number[]): (job_id: number) => Promise<StepState | undefined> {
  let reading: Promise<ReadonlyMap<number, StepState>> | undefined

  async function read(): Promise<ReadonlyMap<number, StepState>> {
    for (let tries = 1; ; tries++) {
      try {
        return new Map((await runs.states(job_ids)).map((state) => [state.job_id, state]))
      } catch (error) {
        if (tries === MAX_TRIES || !(error instanceof PgqError) || error.code !== 'connection_lost') throw error
        await sleep(backoff(tries, FIRST_PAUSE_MILLISECONDS, LONGEST_PAUSE_MILLISECONDS))
      }
    }
  }

  return async (job_id) => (await (reading ??= read())).get(job_id)
}
