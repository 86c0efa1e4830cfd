/** Tells what goes wrong outside of handlers, to whoever wants to hear it. Mirrors no SQL file. */
import { toPgqError, type PgqError } from './errors.ts'
import type { WorkerLogger } from './worker-options.ts'

export interface ReportOptions {
  readonly logger?: WorkerLogger
  readonly on_error?: (error: unknown) => void
}

/** A function that passes errors on to the logger, with `details`, and to `on_error`; it gives them as PgqErrors. */
export function createReport({ logger, on_error }: ReportOptions, details: Readonly<Record<string, unknown>> = {}): (error: unknown) => PgqError {
  return (error) => {
    const pgq_error = toPgqError(error)
    logger?.error?.(pgq_error.message, { code: pgq_error.code, ...details, error: pgq_error })
    on_error?.(pgq_error)
    return pgq_error
  }
}
