/**
 * The background worker of pg_net's double, a process of its own: `tsx worker.ts '{"url": "postgres://…", "era": "C"}'`.
 *
 * It goes through the states of the original (src/worker.c): batches of `pg_net.batch_size` in the order of ids, all
 * requests of a batch at once, the next batch when the slowest is answered and a second is over, or a wake came. When
 * something goes wrong, or the server goes away, it begins anew a second later, as the postmaster has its workers do.
 * Its parent may send `fail`, which raises an error in the midst of a batch.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { ERAS, type Behaviour, type Era } from './eras.ts'
import { makeLatch, type Latch } from './latch.ts'
import { perform, type Outcome, type QueuedRequest } from './request.ts'

export interface WorkerTask {
  readonly url: string
  readonly era: Era
}

const GATE_MILLISECONDS = 1000
const RESTART_MILLISECONDS = 1000

/** What the worker shares with the sessions that wake it; in the original it lies in shared memory. */
interface WorkerState {
  readonly latch: Latch
  should_wake: boolean
  should_restart: boolean
  /** Aborts the batch under way, as an ERROR does. */
  fault: AbortController
}

interface Tables {
  readonly client: pg.Client
  readonly behaviour: Behaviour
}

/** The original sends no statement from outside, which the server would log. */
const QUIET = '-c log_statement=none -c log_min_duration_statement=-1 -c auto_explain.log_min_duration=-1'

async function connect(url: string, application_name: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name, options: QUIET })
  client.on('error', () => {}) // The query that meets it fails.
  await client.connect()
  return client
}

/** Works until something goes wrong, or a restart is asked for. */
async function work({ url, era }: WorkerTask, tell: (message: string) => void): Promise<void> {
  const behaviour = ERAS[era]
  // (What a worker left when it went away is looked at when it comes back.)
  const state: WorkerState = { latch: makeLatch(), should_wake: true, should_restart: false, fault: new AbortController() }
  const ears = await connect(url, 'latch of the double of pg_net')
  const client = await connect(url, `pg_net ${behaviour.version}`)
  const end = (): void => {
    state.fault.abort(new Error('the server is gone'))
    state.latch.set()
  }
  const onMessage = (message: unknown): void => {
    if (message === 'fail') state.fault.abort(new Error('an error was asked for'))
  }
  client.on('end', end)
  ears.on('notification', ({ payload }) => {
    if (payload === 'restart') {
      state.should_restart = true
      state.latch.set()
    } else if (behaviour.waking === 'latch' && !state.should_wake) {
      // Only the first wake counts, until the queue is empty.
      state.should_wake = true
      state.latch.set()
    }
  })
  process.on('message', onMessage)
  try {
    await ears.query('LISTEN pg_net')
    tell('ready')
    await (behaviour.waking === 'latch' ? workWhenWoken : workBySecond)({ client, behaviour }, state)
  } finally {
    process.off('message', onMessage)
    client.off('end', end)
    await Promise.allSettled([client.end(), ears.end()])
  }
}

async function workWhenWoken(tables: Tables, state: WorkerState): Promise<void> {
  while (!state.should_restart) {
    state.fault.signal.throwIfAborted()
    if (!state.should_wake) {
      await state.latch.wait()
      continue
    }
    state.should_wake = false
    let has_done_something = true
    while (has_done_something && !state.should_restart) {
      const expired = await deleteExpired(tables)
      has_done_something = (await sendBatch(tables, state)) + expired > 0
      await state.latch.wait(GATE_MILLISECONDS)
    }
  }
}

async function workBySecond(tables: Tables, state: WorkerState): Promise<void> {
  while (!state.should_restart) {
    state.fault.signal.throwIfAborted()
    await state.latch.wait(GATE_MILLISECONDS)
    await deleteExpired(tables)
    await sendBatch(tables, state)
  }
}

async function deleteExpired({ client }: Tables): Promise<number> {
  const { rowCount } = await client.query(`
    WITH old AS (
        SELECT r.ctid FROM net._http_response AS r
        WHERE r.created < now() - current_setting('pg_net.ttl')::interval
        ORDER BY r.created LIMIT current_setting('pg_net.batch_size')::integer
    )
    DELETE FROM net._http_response AS r USING old WHERE r.ctid = old.ctid`)
  return rowCount ?? 0
}

/** Returns how many requests it has sent. */
async function sendBatch(tables: Tables, state: WorkerState): Promise<number> {
  const { client, behaviour } = tables
  const is_single = behaviour.transaction === 'single'
  if (is_single) await client.query('BEGIN')
  const requests = await takeRequests(tables)
  // One after the other, as they come: there is one connection.
  let stored = Promise.resolve()
  const answered = requests.map(async (request) => {
    const outcome = await perform(request, behaviour, state.fault.signal)
    return (stored = stored.then(() => storeOutcome(tables, request.id, outcome)))
  })
  try {
    await Promise.all(answered)
  } catch (error) {
    // An ERROR: in a single transaction nothing has happened, else what is not stored by now is lost.
    state.fault.abort(error)
    await Promise.allSettled(answered)
    throw error
  }
  if (is_single) await client.query('COMMIT')
  return requests.length
}

async function takeRequests({ client }: Tables): Promise<QueuedRequest[]> {
  const { rows } = await client.query<QueuedRequest>(`
    WITH first AS (
        SELECT q.id FROM net.http_request_queue AS q
        ORDER BY q.id LIMIT current_setting('pg_net.batch_size')::integer
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM net.http_request_queue AS q USING first WHERE q.id = first.id
    RETURNING q.id, q.method, q.url, q.body, q.timeout_milliseconds,
        (SELECT coalesce(jsonb_object_agg(h.key, h.value), '{}')
         FROM jsonb_each_text(q.headers) AS h WHERE h.value IS NOT NULL) AS headers`)
  return rows.sort((one, other) => Number(one.id) - Number(other.id))
}

async function storeOutcome({ client }: Tables, id: string, outcome: Outcome): Promise<void> {
  await client.query({
    name: 'store',
    text: `
      INSERT INTO net._http_response (id, status_code, content, headers, content_type, timed_out, error_msg)
      VALUES ($1, $2, net._unvalidated($3, ''), $4, $5, $6, $7)`,
    values: [
      id, outcome.status_code, outcome.content, outcome.headers, outcome.content_type, outcome.timed_out, outcome.error_msg,
    ],
  })
}

const task = JSON.parse(process.argv[2]!) as WorkerTask
// The parent ended.
process.on('disconnect', () => process.exit(0))
for (;;) {
  await work(task, (message) => process.send?.(message)).catch((error: Error) => process.send?.(`ended: ${error.message}`))
  await sleep(RESTART_MILLISECONDS)
}
