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
const ROW = [
  String.raw`^table pgq\.job: (\w+): job_id\[bigint\]:(\d+)`,
  String.raw`(?: .*?lease_token\[bigint\]:(\w+) .*?queue_id\[integer\]:(\d+) .*?held_by\[text\]:(null|'\w+')`,
  String.raw` .*?group_key\[text\]:(null|'[^']*'))?`,
].join('')

/** The transactions since `keepJobLog`, each with its changes in their order. */
export async function* readJobLog(sql: Session): AsyncGenerator<readonly JobChange[]> {
  const rows = sql<(JobChange & { readonly xid: string })[]>`
    SELECT l.xid::text, l.row[1] AS kind, l.row[2]::bigint AS job_id, NULLIF(l.row[3], 'null')::bigint AS lease_token,
           l.row[4]::integer AS queue_id, btrim(NULLIF(l.row[5], 'null'), '''') AS held_by,
           btrim(NULLIF(l.row[6], 'null'), '''') AS group_key
    FROM (
        SELECT c.xid, c.place, regexp_match(c.data, ${ROW}) AS row
        FROM pg_logical_slot_get_changes('job_log', NULL, NULL) WITH ORDINALITY AS c (lsn, xid, data, place)
        WHERE c.data LIKE 'table pgq.job: %'
    ) AS l
    ORDER BY l.place`
  let xid: string | undefined
  let changes: JobChange[] = []
  for await (const batch of rows.cursor(5000)) {
    for (const { xid: of, ...change } of batch) {
      if (xid !== undefined && of !== xid) {
        yield changes
        changes = []
      }
      xid = of
      changes.push(change)
    }
  }
  if (changes.length > 0) yield changes
}
