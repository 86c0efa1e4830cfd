#!/usr/bin/env node
/** The program `pgq-install`, also named `pg-queue-install-node`. */
import { Command } from 'commander'
import { makeInstallCommand } from './install-command.ts'
import { run } from './run.ts'

await run(makeInstallCommand(new Command('pgq-install')))
