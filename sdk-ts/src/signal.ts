/** Signals to runs of workflows. Mirrors functions/63-signal.sql. */
import { expectText, expectWhole } from './expect.ts'
import type { Queryable } from './queryable.ts'
import { callOne, DEFAULT_SCHEMA, jsonParam, namedArguments, param, quoteName } from './sql-call.ts'

/** Options of `signalJob` of a workflow. */
export interface SignalOptions {
  /** The signal is sent in this transaction. @default a transaction of its own */
  readonly transaction?: Queryable
}

/**
 * Sends a signal to a run, which receives it in the step after its `waitForSignal(name)`. Gives true when the run waits for it
 * now; false when it came early, and is kept. `db` may be a transaction. Rejects with `job_not_found`, or `job_in_another_state` when the run is finished.
 */
export async function signalJob(
  db: Queryable, job_id: number, name: string, payload?: unknown, schema_name: string = DEFAULT_SCHEMA,
): Promise<boolean> {
  expectWhole('job_id', job_id, 1)
  expectText('name', name)
  const types = { job_id: 'bigint', name: 'text', payload: 'jsonb' }
  return callOne(db, `SELECT to_json(${quoteName(schema_name)}.signal_job(${namedArguments(types)}))::text AS r`, [
    param(job_id), name, jsonParam('payload', payload),
  ])
}

/**
 * Sends the signal that a token stands for (see `context.makeSignalToken`), once, and gives the id of the run. Rejects with
 * `signal_token_not_found` when the token is unknown, used or too old. `db` may be a transaction.
 */
export async function signalByToken(db: Queryable, token: string, payload?: unknown, schema_name: string = DEFAULT_SCHEMA): Promise<number> {
  expectText('token', token)
  return callOne(db, `SELECT ${quoteName(schema_name)}.signal_by_token(${namedArguments({ token: 'text', payload: 'jsonb' })})::text AS r`, [
    token, jsonParam('payload', payload),
  ])
}
