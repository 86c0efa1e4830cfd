#!/usr/bin/env node
/** The program `pgq`: all commands of this package. */
import { Command } from 'commander'
import { PgqError } from '../errors.ts'
import { makeCheckWorkflowsCommand } from './check-workflows.ts'

const program = new Command('pgq').description('pgq, a job queue inside Postgres')
makeCheckWorkflowsCommand(program.command('check-workflows'))
try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof PgqError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
