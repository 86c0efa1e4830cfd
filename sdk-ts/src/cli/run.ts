/** Runs a command of this package, and tells in one line what went wrong. */
import type { Command } from 'commander'
import { PgqError } from '../errors.ts'
import { Cancelled } from './ask.ts'

export async function run(program: Command): Promise<void> {
  try {
    await program.parseAsync()
  } catch (error) {
    if (!(error instanceof PgqError || error instanceof Cancelled)) throw error
    console.error(error.message)
    process.exitCode = error instanceof Cancelled ? 130 : 1
  }
}
