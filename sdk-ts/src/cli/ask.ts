/** The questions at the terminal. */
import { CANCEL_SYMBOL, select, text } from '@clack/prompts'
import { PgqError } from '../errors.ts'
import { MIGRATION_TOOLS, toolOf, type MigrationFolder, type MigrationTool } from './migration-tools.ts'
import { folderIn, type Project } from './project.ts'

/** The user has left a question without an answer. */
export class Cancelled extends Error {}

export async function askSchema(usual: string, check: (schema_name: string) => unknown): Promise<string> {
  return answered(text({
    message: 'Which schema of Postgres should pgq live in?',
    initialValue: usual,
    validate: (value) => problemOf(() => check(value ?? '')),
  }))
}

export async function askMigrations(project: Project, choices: readonly MigrationFolder[]): Promise<MigrationFolder | undefined> {
  const chosen = await answered(select<MigrationFolder | 'other' | 'none'>({
    message: 'Which folder should the migration go to?',
    options: [
      ...choices.map((choice) => ({ value: choice, label: choice.folder, hint: choice.tool.title })),
      { value: 'other', label: 'Another folder' },
      { value: 'none', label: 'None', hint: 'pgq is installed in another way' },
    ],
  }))
  if (chosen === 'none') return undefined
  if (chosen !== 'other') return chosen
  const folder = await askFolder(project, 'migrations')
  const tool = await answered(select<MigrationTool>({
    message: 'What runs its migrations?',
    options: MIGRATION_TOOLS.map((each) => ({ value: each, label: each.title })),
    initialValue: toolOf(project, folder),
  }))
  return { folder, tool }
}

export async function askTests(project: Project, choices: readonly string[]): Promise<string | undefined> {
  const chosen = await answered(select<{ readonly folder: string } | 'other' | 'none'>({
    message: 'Which folder should the tests of your server (pgTAP) go to?',
    options: [
      ...choices.map((folder) => ({ value: { folder }, label: folder })),
      { value: 'other', label: 'Another folder' },
      { value: 'none', label: 'No tests' },
    ],
  }))
  if (chosen === 'none') return undefined
  return chosen === 'other' ? askFolder(project, 'tests') : chosen.folder
}

async function askFolder(project: Project, usual: string): Promise<string> {
  const folder = await answered(text({
    message: 'Which folder?', initialValue: usual, validate: (value) => (value ? undefined : 'Expected the path of a folder'),
  }))
  return folderIn(project, folder)
}

async function answered<Value>(asked: Promise<Value | typeof CANCEL_SYMBOL>): Promise<Value> {
  const value = await asked
  if (value === CANCEL_SYMBOL) throw new Cancelled('Nothing was written.')
  return value
}

function problemOf(check: () => unknown): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    if (error instanceof PgqError) return error.message
    throw error
  }
}
