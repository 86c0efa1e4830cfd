/** What the user wants: said by an option, at the terminal, or by what is in the project. */
import { refuse } from '../expect.ts'
import { schemaInSql } from '../install-script.ts'
import { DEFAULT_SCHEMA } from '../sql-call.ts'
import { askMigrations, askSchema, askTests } from './ask.ts'
import { findMigrationFolders, MIGRATION_TOOLS, toolOf, type MigrationFolder, type MigrationTool } from './migration-tools.ts'
import type { Answers } from './plan.ts'
import { folderIn, type Project, type WrittenFile } from './project.ts'

/** Answers that were given on the command line; false: none is wanted. */
export interface Flags {
  readonly schema?: string
  readonly migrations?: string | false
  readonly tool?: string
  readonly tests?: string | false
}

/** Answers all questions; asks only when there is someone to ask. */
export async function findAnswers(
  project: Project, flags: Flags, written: readonly WrittenFile[], is_interactive: boolean,
): Promise<Answers> {
  const usual = written[0]?.schema_name ?? DEFAULT_SCHEMA
  const schema_name = flags.schema ?? (is_interactive ? await askSchema(usual, schemaInSql) : usual)
  schemaInSql(schema_name)
  const before = written.filter((file) => file.schema_name === schema_name)
  return {
    schema_name,
    migrations: await findMigrations(project, flags, before, is_interactive),
    tests: await findTests(project, flags, before, is_interactive),
  }
}

async function findMigrations(
  project: Project, flags: Flags, before: readonly WrittenFile[], is_interactive: boolean,
): Promise<MigrationFolder | undefined> {
  if (flags.migrations === false) return undefined
  if (flags.migrations !== undefined) {
    const folder = folderIn(project, flags.migrations)
    return { folder, tool: flags.tool === undefined ? toolOf(project, folder) : toolNamed(flags.tool) }
  }
  const found = findMigrationFolders(project).filter(({ tool }) => flags.tool === undefined || tool.id === flags.tool)
  const usual = before.filter((file) => file.what === 'migration').map(placeOf).at(-1)
  if (is_interactive) return askMigrations(project, usual ? [usual, ...found.filter(({ folder }) => folder !== usual.folder)] : found)
  const [first, ...others] = usual ? [usual] : found
  if (first === undefined || others.length > 0) {
    refuse('--migrations', 'the folder of your migrations', found.map(({ folder }) => folder).join(', ') || undefined)
  }
  return first
}

/** The folder that a migration was written into: Prisma's have one of their own in it. */
function placeOf({ folder, path, tool }: WrittenFile): MigrationFolder {
  return { folder: path.endsWith('/migration.sql') ? folder.replace(/\/[^/]*$/, '') : folder, tool: toolNamed(tool ?? 'plain') }
}

const TEST_FOLDERS = [
  'supabase/tests/database', 'supabase/tests', 'test/sql', 'tests/sql', 'test/pgtap', 'tests/pgtap', 'db/tests', 'sql/tests', 'tests', 'test',
]

async function findTests(
  project: Project, flags: Flags, before: readonly WrittenFile[], is_interactive: boolean,
): Promise<string | undefined> {
  if (flags.tests !== undefined) return flags.tests === false ? undefined : folderIn(project, flags.tests)
  const usual = before.filter((file) => file.what === 'tests').map((file) => file.folder)
  if (!is_interactive) return usual[0]
  const found = TEST_FOLDERS.filter((folder) => project.has(folder) || (folder === TEST_FOLDERS[0] && project.has('supabase')))
  return askTests(project, [...new Set([...usual, ...found])])
}

function toolNamed(id: string): MigrationTool {
  return MIGRATION_TOOLS.find((tool) => tool.id === id) ?? refuse('--tool', `one of ${MIGRATION_TOOLS.map((tool) => tool.id).join(', ')}`, id)
}
