/** The command `install`: writes pgq as a migration into the user's project, and tests of the user's own server. */
import { intro, log, outro } from '@clack/prompts'
import { Command } from 'commander'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { openPlainSql } from '../install-script.ts'
import { pgcFileReaderNode } from '../node.ts'
import { findAnswers, type Flags } from './answers.ts'
import { MIGRATION_TOOLS, type NewFile } from './migration-tools.ts'
import { planFiles, TEST_ENDING, type Answers } from './plan.ts'
import { findWritten, openProject, type Project } from './project.ts'

interface Options extends Flags {
  readonly root: string
  readonly yes?: true
  readonly check?: true
}

/** Adds the command's description, its options and what it does. */
export function makeInstallCommand(command: Command): Command {
  return command
    .description('Writes the SQL of pgq into your folder of migrations, and database tests (pgTAP) for your own server.\nRun it again after an update of the package: it writes what is new. It asks for what no option says.')
    .option('--root <folder>', 'where your project begins', '.')
    .option('--schema <name>', 'the schema of Postgres that pgq is to live in (pgq)')
    .option('--migrations <folder>', 'the folder of your migrations')
    .option('--no-migrations', 'write no migration')
    .option('--tool <tool>', `what runs the migrations: ${MIGRATION_TOOLS.map(({ id }) => id).join(', ')}`)
    .option('--tests <folder>', 'the folder of your database tests')
    .option('--no-tests', 'write no tests')
    .option('-y, --yes', 'ask nothing: take what was written before, or what is found')
    .option('--check', 'write nothing, ask nothing; fail if there is something to write')
    .action(run)
}

async function run(options: Options): Promise<void> {
  const project = openProject(options.root)
  const sql = await openPlainSql(pgcFileReaderNode)
  const is_interactive = process.stdin.isTTY === true && !options.yes && !options.check

  if (is_interactive) intro(`pgq ${sql.version}`)
  const answers = await findAnswers(project, options, findWritten(project), is_interactive)
  const files = await planFiles(project, { sql, reader: pgcFileReaderNode }, answers, new Date())
  if (!options.check) for (const { path, text } of files) write(project, path, text)
  report(files, answers, is_interactive, options.check ? 'Missing' : 'Wrote')
  if (options.check && files.length > 0) process.exitCode = 1
}

function write(project: Project, path: string, text: string): void {
  const target = resolve(project.root, path)
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, text)
}

function report(files: readonly NewFile[], { migrations, tests }: Answers, is_interactive: boolean, did: string): void {
  const say = is_interactive ? { file: log.success, hint: log.info } : { file: console.log, hint: console.log }
  for (const { path } of files) say.file(`${did} ${path}`)
  const [migration] = migrations ? files.filter(({ path }) => !path.endsWith(TEST_ENDING)) : []
  if (migration && migrations) say.hint(`Next: ${migrations.tool.run.replace('FILE', migration.path)}`)
  if (tests !== undefined && files.length > 0) say.hint(`Tests: pg_prove -d DATABASE ${tests}/*${TEST_ENDING}`)
  if (files.length === 0) say.hint('Nothing to write: all is there.')
  if (is_interactive) outro('Done.')
}
