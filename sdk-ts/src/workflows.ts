/** Several workflows, and queues beside them, as workers and endpoints take them. Mirrors no SQL file. */
import { PgqError } from './errors.ts'
import type { JobSource } from './job-source.ts'
import { MultiStepPgQueue } from './workflow.ts'

/** A workflow, whatever its payloads are. */
export type AnyWorkflow = MultiStepPgQueue<unknown, unknown, string>

/** What was given, by kind. */
export function byKind<Queue>(given: Queue | AnyWorkflow | readonly (Queue | AnyWorkflow)[]): { queues: Queue[]; workflows: AnyWorkflow[] } {
  const all = Array.isArray(given) ? (given as readonly (Queue | AnyWorkflow)[]) : [given as Queue | AnyWorkflow]
  const workflows = all.filter((one) => one instanceof MultiStepPgQueue)
  return { workflows, queues: all.filter((one) => !(one instanceof MultiStepPgQueue)) as Queue[] }
}

/** What was refused because of open runs is tried again after so long. */
const TRY_AGAIN_MILLISECONDS = 30_000

/**
 * A function that makes all workflows known to the database, at its first call. What is refused (steps are missing at which
 * runs stand; the role may not) is told, and the others go on; it rejects when there was no connection, to be called again.
 */
export function createDefineAll(workflows: readonly AnyWorkflow[], report: (error: PgqError) => void): () => Promise<void> | undefined {
  let defining: Promise<void> | undefined
  let next_try = workflows.length === 0 ? Infinity : 0

  async function defineAll(): Promise<void> {
    let again = Infinity
    try {
      for (const workflow of workflows) {
        await workflow.define().catch((error: unknown) => {
          if (!(error instanceof PgqError) || error.code === 'connection_lost') throw error
          if (error.code === 'wrong_state') again = performance.now() + TRY_AGAIN_MILLISECONDS
          report(error)
        })
      }
      next_try = again
    } finally {
      defining = undefined
    }
  }

  return () => (performance.now() < next_try ? undefined : (defining ??= defineAll()))
}

/** The same source, which makes the workflows known before its first pick. */
export function definingFirst(source: JobSource, workflows: readonly AnyWorkflow[], report: (error: PgqError) => void): JobSource {
  if (workflows.length === 0) return source
  const defineAll = createDefineAll(workflows, report)
  return {
    ...source,
    get bytes_per_job() {
      return source.bytes_per_job
    },
    async pick(request) {
      await defineAll()
      return source.pick(request)
    },
  }
}
