/** What a statement costs in buffers, and by which plans it runs: measures that do not depend on the machine's mood. */
import { inTransaction, openSession, type Session } from './session.ts'

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Shared Hit Blocks'?: number
  readonly 'Shared Read Blocks'?: number
  readonly Plans?: readonly PlanNode[]
}

/** Runs the statement and returns how many shared buffers it has looked at, those of the functions it calls included. */
export async function buffersOf(sql: Session, statement: string): Promise<number> {
  const rows = await sql.unsafe<{ 'QUERY PLAN': [{ Plan: PlanNode }] }[]>(
    `EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json) ${statement}`)
  const { Plan: top } = rows[0]!['QUERY PLAN'][0]
  return (top['Shared Hit Blocks'] ?? 0) + (top['Shared Read Blocks'] ?? 0)
}

/** How a statement reads a table: the kind of plan node and the table, such as `Index Scan on job`. */
export type Access = `${string} on ${string}`

export interface ExplainingSession {
  readonly sql: Session
  /** How `work` reads tables, in all the statements that run inside functions too, each way once. */
  accessesOf(work: () => Promise<unknown>): Promise<Access[]>
}

/** Opens a session whose nested statements tell their plans as notices (contrib/auto_explain). */
export async function openExplainingSession(url: string): Promise<ExplainingSession> {
  let plans: PlanNode[] = []
  const sql = openSession(url, {
    onNotice(message) {
      const [, json] = /plan:\n([^]*)/.exec(message) ?? []
      if (json !== undefined) plans.push((JSON.parse(json) as { Plan: PlanNode }).Plan)
    },
  })
  await sql.unsafe(`
    LOAD 'auto_explain';
    SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_format = json;
    SET auto_explain.log_level = notice`)
  return {
    sql,
    async accessesOf(work) {
      plans = []
      await sql`SET auto_explain.log_min_duration = 0`
      await work()
      await sql`SET auto_explain.log_min_duration = -1`
      return [...new Set(plans.flatMap(accesses))].sort()
    },
  }
}

function accesses(node: PlanNode): Access[] {
  const { 'Node Type': kind, 'Relation Name': table, Plans: below = [] } = node
  const own: Access[] = table !== undefined && kind !== 'ModifyTable' ? [`${kind} on ${table}`] : []
  return [...own, ...below.flatMap(accesses)]
}

/** How many rows of `table` the session's `work` has updated, and how many of those updates were HOT. */
export async function updatesOf(
  sql: Session, table: string, work: () => Promise<unknown>,
): Promise<{ updated: number; hot: number }> {
  // These functions count what the session has not reported yet, which may be more than its transaction; so the difference.
  const look = (): Promise<[{ updated: number; hot: number }]> => sql<[{ updated: number; hot: number }]>`
    SELECT pg_stat_get_xact_tuples_updated(${table}::regclass) AS updated,
           pg_stat_get_xact_tuples_hot_updated(${table}::regclass) AS hot`
  return inTransaction(sql, async () => {
    const [before] = await look()
    await work()
    const [after] = await look()
    return { updated: after.updated - before.updated, hot: after.hot - before.hot }
  })
}

/** The value below which that share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}
