/**
 * What happened to the rows of pgq.job, in the order of commits: read from the write-ahead log by logical decoding
 * (contrib/test_decoding). So a limit can be checked at every instant, not only when somebody looks.
 */
import type { Session } from './session.ts'

export interface JobChange {
  readonly kind: 'INSERT' | 'UPDATE' | 'DELETE'
  readonly job_id: number
  /** The columns below are null for a DELETE. */
  readonly queue_id: number | null
  readonly lease_token: number | null
  readonly held_by: string | null
  readonly group_key: string | null
}

/** Begins to keep the log; the server must have `wal_level = logical`. */
export async function keepJobLog(sql: Session): Promise<void> {
  await sql`SELECT FROM pg_create_logical_replication_slot('job_log', 'test_decoding')`
}

// The decoder prints a row as `table pgq.job: UPDATE: job_id[bigint]:1 start_after[timestamp with time zone]:'…' …`.
const ROW = /^table pgq\.job: (\w+): job_id\[bigint\]:(\d+)/
const COLUMN = {
  queue_id: / queue_id\[integer\]:(\d+)/,
  lease_token: / lease_token\[bigint\]:(\d+)/,
  held_by: / held_by\[text\]:'(\w+)'/,
  group_key: / group_key\[text\]:'([^']*)'/,
}

function parse(line: string): JobChange {
  const [, kind, job_id] = ROW.exec(line)!
  const text = (column: RegExp): string | null => column.exec(line)?.[1] ?? null
  const number = (column: RegExp): number | null => (text(column) === null ? null : Number(text(column)))
  return {
    kind: kind as JobChange['kind'],
    job_id: Number(job_id),
    queue_id: number(COLUMN.queue_id),
    lease_token: number(COLUMN.lease_token),
    held_by: text(COLUMN.held_by),
    group_key: text(COLUMN.group_key),
  }
}

/** The transactions since `keepJobLog`, each with its changes in their order. */
export async function* readJobLog(sql: Session): AsyncGenerator<readonly JobChange[]> {
  // What stands behind the headers is not needed, and may be long.
  const lines = sql<{ xid: string; line: string }[]>`
    SELECT c.xid::text, split_part(c.data, ' headers[jsonb]:', 1) AS line
    FROM pg_logical_slot_get_changes('job_log', NULL, NULL) AS c
    WHERE c.data LIKE 'table pgq.job: %'`
  let xid: string | undefined
  let changes: JobChange[] = []
  for await (const batch of lines.cursor(5000)) {
    for (const { xid: of, line } of batch) {
      if (xid !== undefined && of !== xid) {
        yield changes
        changes = []
      }
      xid = of
      changes.push(parse(line))
    }
  }
  if (changes.length > 0) yield changes
}
