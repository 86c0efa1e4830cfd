/** The command `check-workflows`: fails when the code has no handler any more for a step at which runs stand. */
import type { Command } from 'commander'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { checkWorkflows, type CheckedWorkflow, type MissingStep } from '../check-workflows.ts'
import { PgqError } from '../errors.ts'
import { PostgresDb } from '../postgres-db.ts'
import type { Queryable } from '../queryable.ts'

interface Options {
  readonly databaseUrl?: string
}

/** A workflow with the database that it was made with. */
type OpenWorkflow = CheckedWorkflow & { readonly db: Queryable }

/** Adds the command's description, its arguments and what it does. */
export function makeCheckWorkflowsCommand(command: Command): Command {
  return command
    .description('Fails when a run stands at a step for which your code has no handler any more. For CI, before a deployment.')
    .argument('<modules...>', 'JavaScript modules that export your workflows, alone, in arrays or in records')
    .option('--database-url <url>', 'the database to look into, if not the one that the workflows have')
    .action(run)
}

async function run(modules: readonly string[], { databaseUrl }: Options): Promise<void> {
  const workflows: OpenWorkflow[] = []
  for (const path of modules) workflows.push(...workflowsOf(await import(pathToFileURL(resolve(path)).href)))
  if (workflows.length === 0) throw new PgqError('invalid_argument', `Expected \`modules\` to export a MultiStepPgQueue, got none in ${modules.join(', ')}`)
  const missing = databaseUrl === undefined ? await checkEach(workflows) : await checkWorkflows(new PostgresDb(databaseUrl), workflows)
  for (const one of missing) console.error(lineOf(one))
  if (missing.length === 0) console.log(`All is well: ${workflows.length} workflow${workflows.length === 1 ? '' : 's'}, and a handler for every step at which a run stands.`)
  // The databases of the modules may be open, and anything else that they have begun.
  process.exit(missing.length === 0 ? 0 : 1)
}

/** All that a module exports. By its form, because the module may have a copy of this package of its own. */
function workflowsOf(module: object): OpenWorkflow[] {
  return Object.values(module).flatMap((exported: unknown) => {
    if (typeof exported !== 'object' || exported === null) return []
    return isWorkflow(exported) ? [exported] : Object.values(exported).filter(isWorkflow)
  })
}

function isWorkflow(x: unknown): x is OpenWorkflow {
  return typeof x === 'object' && x !== null && 'workflow_id' in x && 'versions' in x && x.versions instanceof Map
}

async function checkEach(workflows: readonly OpenWorkflow[]): Promise<MissingStep[]> {
  const missing: MissingStep[] = []
  for (const db of new Set(workflows.map((workflow) => workflow.db))) {
    missing.push(...(await checkWorkflows(db, workflows.filter((workflow) => workflow.db === db))))
  }
  return missing
}

function lineOf({ queue_name, workflow, version, step, open_runs, missing }: MissingStep): string {
  const what = { workflow: 'no such workflow', version: 'no such version', step: 'no such step' }[missing]
  return `queue "${queue_name}", workflow "${workflow}", version ${version}: ${open_runs} run${open_runs === 1 ? '' : 's'} at step "${step}", but the code has ${what}`
}
