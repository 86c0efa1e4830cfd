#!/usr/bin/env node
/** The program `pgq`: all commands of this package. */
import { Command } from 'commander'
import { makeCheckWorkflowsCommand } from './check-workflows.ts'
import { makeInstallCommand } from './install-command.ts'
import { run } from './run.ts'

const program = new Command('pgq').description('pgq, a job queue inside Postgres')
makeInstallCommand(program.command('install'))
makeCheckWorkflowsCommand(program.command('check-workflows'))
await run(program)
