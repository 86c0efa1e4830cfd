/** The tools that run migrations: where each keeps its files, what it calls them, and what it expects in them. */
import { nextNumber } from './file-names.ts'
import { drizzleFiles, drizzleFolders } from './drizzle.ts'
import type { Project } from './project.ts'

/** What is to be migrated, as SQL. */
export interface Migration {
  /** Words for its name: `install_pgq_0_1_0`. */
  readonly label: string
  /** Comment lines that stand first in the file. */
  readonly head: string
  readonly up: string
  readonly down: string
}

/** A file to write; its path is relative to the root of the project. */
export interface NewFile {
  readonly path: string
  readonly text: string
}

export interface MigrationTool {
  readonly id: string
  readonly title: string
  /** Folders of its migrations, if the project uses it. */
  folders(project: Project): readonly string[]
  /** Whether a folder that nobody has named is one of its own. */
  owns(project: Project, folder: string): boolean
  files(project: Project, folder: string, migration: Migration, now: Date): readonly NewFile[]
  /** How the migrations are run, for the last line that is printed. */
  readonly run: string
}

const has = (...paths: readonly string[]) => (project: Project): boolean => paths.some((path) => project.has(path))
const uses = (project: Project, name: string): boolean => new RegExp(`"${name}"\\s*:`).test(project.text('package.json'))
const someName = (project: Project, folder: string, pattern: RegExp): boolean => project.names(folder).some((name) => pattern.test(name))
const someText = (project: Project, folder: string, pattern: RegExp): boolean =>
  project.names(folder).some((name) => name.endsWith('.sql') && pattern.test(project.text(`${folder}/${name}`)))

const bare = ({ head, up }: Migration): string => `${head}\n${up}`
const between = (above: string, below: string) => ({ head, up, down }: Migration): string =>
  `${head}\n${above}\n${up}\n${below}\n${down}`

/** One file for each migration, `NUMBER_label.sql`. */
function oneFile(usual: 13 | 14, text: (migration: Migration) => string): MigrationTool['files'] {
  return (project, folder, migration, now) => [
    { path: `${folder}/${nextNumber(project.names(folder), usual, now)}_${migration.label}.sql`, text: text(migration) },
  ]
}

export const MIGRATION_TOOLS: readonly MigrationTool[] = [
  {
    id: 'supabase', title: 'Supabase', run: 'supabase db push',
    folders: (project) => (project.has('supabase') ? ['supabase/migrations'] : []),
    owns: (_project, folder) => /(^|\/)supabase\/migrations$/.test(folder),
    files: oneFile(14, bare),
  },
  {
    id: 'prisma', title: 'Prisma', run: 'npx prisma migrate deploy',
    folders: (project) => (has('prisma/schema.prisma', 'prisma/migrations', 'prisma/schema')(project) ? ['prisma/migrations'] : []),
    owns: (project, folder) => project.has(`${folder}/migration_lock.toml`),
    files: (project, folder, migration, now) => [
      { path: `${folder}/${nextNumber(project.names(folder), 14, now)}_${migration.label}/migration.sql`, text: bare(migration) },
    ],
  },
  {
    id: 'drizzle', title: 'Drizzle', run: 'npx drizzle-kit migrate',
    folders: drizzleFolders,
    owns: (project, folder) => project.has(`${folder}/meta/_journal.json`),
    files: drizzleFiles,
  },
  {
    id: 'node-pg-migrate', title: 'node-pg-migrate', run: 'npx node-pg-migrate up',
    folders: (project) => (uses(project, 'node-pg-migrate') ? [nodePgMigrateFolder(project)] : []),
    owns: (project, folder) => someText(project, folder, /^\s*--[\s-]*up\s+migration/im),
    files: oneFile(13, between('-- Up Migration', '-- Down Migration')),
  },
  {
    id: 'dbmate', title: 'dbmate', run: 'dbmate up',
    folders: (project) => (uses(project, 'dbmate') || someText(project, 'db/migrations', DBMATE) ? ['db/migrations'] : []),
    owns: (project, folder) => someText(project, folder, DBMATE),
    files: oneFile(14, between('-- migrate:up', '-- migrate:down')),
  },
  {
    id: 'flyway', title: 'Flyway', run: 'flyway migrate',
    folders: (project) => FLYWAY_FOLDERS.filter((folder) =>
      someName(project, folder, FLYWAY) || (folder === 'migrations' && has('flyway.toml', 'flyway.conf')(project))),
    owns: (project, folder) => someName(project, folder, FLYWAY),
    files: (project, folder, migration, now) => [
      { path: `${folder}/V${nextNumber(project.names(folder).filter((name) => FLYWAY.test(name)), 14, now)}__${migration.label}.sql`, text: bare(migration) },
    ],
  },
  {
    id: 'plain', title: 'plain SQL files',
    run: 'psql "$DATABASE_URL" --single-transaction -v ON_ERROR_STOP=1 -f FILE',
    folders: (project) => PLAIN_FOLDERS.filter((folder) => project.has(folder)),
    owns: () => true,
    files: oneFile(14, bare),
  },
]

const DBMATE = /^--\s*migrate:up/m
const FLYWAY = /^V\d[\d._]*__.*\.sql$/
const FLYWAY_FOLDERS = ['migrations', 'sql', 'db/migration', 'src/main/resources/db/migration']
const PLAIN_FOLDERS = ['migrations', 'db/migrations', 'sql/migrations', 'database/migrations', 'sql']

function nodePgMigrateFolder(project: Project): string {
  return /"migrations-dir"\s*:\s*"([^"]+)"/.exec(project.text('package.json'))?.[1]?.replace(/^\.\/|\/$/g, '') ?? 'migrations'
}

/** A folder in which migrations are kept, and the tool that runs them. */
export interface MigrationFolder {
  readonly folder: string
  readonly tool: MigrationTool
}

/** The folders of a project in which migrations are kept, the most likely first. */
export function findMigrationFolders(project: Project): MigrationFolder[] {
  const found = new Map<string, MigrationTool>()
  for (const tool of MIGRATION_TOOLS) {
    for (const folder of tool.folders(project)) if (!found.has(folder)) found.set(folder, tool)
  }
  return [...found].map(([folder, tool]) => ({ folder, tool }))
}

/** The tool of a folder, by what is in it. */
export function toolOf(project: Project, folder: string): MigrationTool {
  return (
    findMigrationFolders(project).find((found) => found.folder === folder)?.tool ??
    MIGRATION_TOOLS.find((tool) => tool.owns(project, folder))!
  )
}
