/** All that a dispatcher knows of the database. Mirrors functions/77-dispatch.sql, and 45-worker.sql for its wake-ups. */
import type { ListenCallbacks, Queryable, Unlisten } from './queryable.ts'
import { callOne, callVoid, namedArguments, param, quoteName, textsParam } from './sql-call.ts'
import type { WakeSource } from './worker-wake.ts'

/** A request that is to be sent: SQL has made its body and its headers, and has signed it. */
export interface DispatchRequest {
  readonly queue_name: string
  readonly job_id: number
  readonly lease_token: number
  readonly method: 'POST' | 'GET'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** null for GET. */
  readonly body: string | null
  readonly timeout_milliseconds: number
  readonly max_response_bytes: number
  /** May it lead to a private address? */
  readonly is_insecure_allowed: boolean
}

/** What came of a request. SQL decides what it means. */
export interface RequestAnswer {
  readonly job_id: number
  readonly lease_token: number
  readonly status_code?: number
  /** Those that `answer_requests` looks at. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly body_is_cut?: boolean
  /** Why there is no answer. */
  readonly error?: string
  readonly timed_out?: boolean
  /** It was not sent, or nobody waits for its answer: the job goes back to the line. */
  readonly given_back?: boolean
}

/** What became of the job. */
export interface DispatchOutcome {
  readonly job_id: number
  readonly outcome: 'complete' | 'accepted' | 'failed' | 'paused' | 'cancelled' | 'ignored' | 'invalid'
  readonly error: string | null
}

export interface RequestPick {
  readonly max_requests: number
  /** Kept in the jobs' history. */
  readonly dispatcher: string
  /** Queues that get no more for now. */
  readonly except: readonly string[]
}

export interface DispatchSource extends WakeSource {
  /** May be forgotten by a crash of the server: the jobs are ready again then. */
  pick(pick: RequestPick): Promise<DispatchRequest[]>
  /** The outcomes in the order of the answers. An answer that comes too late is ignored. */
  answer(answers: readonly RequestAnswer[]): Promise<DispatchOutcome[]>
  /** Both in one transaction. */
  answerAndPick(answers: readonly RequestAnswer[], pick: RequestPick): Promise<[DispatchOutcome[], DispatchRequest[]]>
  maintain(): Promise<void>
  /** As that of a `JobSource`. */
  driveSchedules(): Promise<number | null>
}

const PICK = { max_requests: 'integer', dispatcher: 'text', queue_names: 'text[]' }

/** Arrays are half as long as objects. */
const REQUESTS = `json_agg(json_build_array(p.queue_name, p.job_id, p.lease_token, p.method, p.url, p.headers, p.body,
  p.timeout_milliseconds, p.max_response_bytes, p.is_insecure_allowed)) AS requests`
const OUTCOMES = 'json_agg(json_build_array(o.job_id, o.outcome, o.error)) AS outcomes'

type RequestRow = [
  queue_name: string, job_id: number, lease_token: number, method: 'POST' | 'GET', url: string, headers: Record<string, string>,
  body: string | null, timeout_milliseconds: number, max_response_bytes: number, is_insecure_allowed: boolean,
]
type OutcomeRow = [job_id: number, outcome: DispatchOutcome['outcome'], error: string | null]

export function sqlDispatchSource(db: Queryable, schema_name: string, queue_names: readonly string[] | undefined): DispatchSource {
  const schema = quoteName(schema_name)
  const { listen } = db
  /** Of `queue_names`, or of all: the queues that have an active endpoint, as of the last announcement. */
  let known: ReadonlySet<string> = new Set()

  const answer_requests = `SELECT ${OUTCOMES} FROM ${schema}.answer_requests(answers => $1::text::jsonb) AS o`
  const pick_requests = `SELECT ${REQUESTS} FROM ${schema}.pick_requests(${namedArguments(PICK)}, durable => false) AS p`
  // LATERAL, and an argument that depends on the outcomes: first the answers, which make room, then the pick. Durable, for the answers.
  const answer_and_pick = `SELECT json_build_array(a.outcomes, p.requests)::text AS r FROM (${answer_requests}) AS a CROSS JOIN LATERAL (
    SELECT ${REQUESTS} FROM ${schema}.pick_requests(${namedArguments(PICK, 2)}, durable => CASE WHEN a.outcomes IS NULL THEN true ELSE true END) AS p) AS p`
  // Where an endpoint has no room, or is held, new jobs are no reason to wake up.
  const announce_idle = `SELECT json_build_array(s.names, ${schema}.announce_idle(queue_names => COALESCE(s.open, '{}'), worker => $1::text,
      idle_milliseconds => $2::text::integer), s.held_milliseconds)::text AS r
    FROM (SELECT array_agg(e.queue_name) AS names,
        array_agg(e.queue_name) FILTER (WHERE e.in_flight < e.in_flight_limit AND (e.held_until IS NULL OR e.held_until <= clock_timestamp())) AS open,
        ceil(1000 * min(EXTRACT(epoch FROM e.held_until - clock_timestamp())) FILTER (WHERE e.held_until > clock_timestamp())) AS held_milliseconds
      FROM ${schema}.endpoint_status() AS e
      WHERE e.is_active AND ($3::text IS NULL OR e.queue_name IN (SELECT jsonb_array_elements_text($3::text::jsonb)))) AS s`

  function pickArguments({ max_requests, dispatcher, except }: RequestPick): (string | null)[] {
    const names = except.length === 0 ? queue_names : [...known].filter((name) => !except.includes(name))
    return [param(max_requests), dispatcher, textsParam(names)]
  }

  return {
    async pick(pick) {
      return requestsOf(await callOne(db, `SELECT r.requests::text AS r FROM (${pick_requests}) AS r`, pickArguments(pick)))
    },

    async answer(answers) {
      return outcomesOf(await callOne(db, `SELECT r.outcomes::text AS r FROM (${answer_requests}) AS r`, [JSON.stringify(answers)]))
    },

    async answerAndPick(answers, pick) {
      const [outcomes, requests] = await callOne<[OutcomeRow[] | null, RequestRow[] | null]>(
        db, answer_and_pick, [JSON.stringify(answers), ...pickArguments(pick)],
      )
      return [outcomesOf(outcomes), requestsOf(requests)]
    },

    async announceIdle(dispatcher, idle_milliseconds) {
      const [names, due_in, held] = await callOne<[string[] | null, number | null, number | null]>(
        db, announce_idle, [dispatcher, param(idle_milliseconds), textsParam(queue_names)],
      )
      known = new Set(names ?? [])
      const next = Math.min(due_in ?? Infinity, held ?? Infinity)
      return next <= idle_milliseconds ? next : null
    },

    async announceBusy(dispatcher) {
      await callVoid(db, `SELECT ${schema}.announce_busy(worker => $1::text)`, [dispatcher])
    },

    async maintain() {
      await callVoid(db, `SELECT ${schema}.maintain()`, [])
    },

    driveSchedules: () => callOne(db, `SELECT ${schema}.drive_schedules()::text AS r`, []),

    listen: listen && (async (on_notify: () => void, callbacks: ListenCallbacks): Promise<Unlisten> => {
      const channel = await callOne<string>(db, `SELECT to_json(${schema}.wake_up_channel())::text AS r`, [])
      return listen.call(db, channel, (queue_name) => known.has(queue_name) && on_notify(), callbacks)
    }),
  }
}

function requestsOf(rows: RequestRow[] | null): DispatchRequest[] {
  if (rows === null) return []
  return rows.map(([queue_name, job_id, lease_token, method, url, headers, body, timeout_milliseconds, max_response_bytes, is_insecure_allowed]) => (
    { queue_name, job_id, lease_token, method, url, headers, body, timeout_milliseconds, max_response_bytes, is_insecure_allowed }
  ))
}

function outcomesOf(rows: OutcomeRow[] | null): DispatchOutcome[] {
  if (rows === null) return []
  return rows.map(([job_id, outcome, error]) => ({ job_id, outcome, error }))
}
