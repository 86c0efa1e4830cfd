/** Drizzle: its journal lists the migrations, and each statement is run for itself. */
import { nextNumber } from './file-names.ts'
import type { Migration, NewFile } from './migration-tools.ts'
import type { Project } from './project.ts'

interface Journal {
  readonly version: string
  readonly dialect: string
  readonly entries: readonly { readonly idx: number; readonly version: string; readonly when: number; readonly tag: string; readonly breakpoints: boolean }[]
}

const CONFIGS = ['ts', 'js', 'mjs', 'cjs', 'mts', 'json'].map((ending) => `drizzle.config.${ending}`)
const EMPTY: Journal = { version: '7', dialect: 'postgresql', entries: [] }

export function drizzleFolders(project: Project): string[] {
  const config = CONFIGS.find((path) => project.has(path))
  if (config !== undefined) {
    const out = /\bout['"]?\s*:\s*['"`]([^'"`]+)['"`]/.exec(project.text(config))?.[1] ?? 'drizzle'
    return [out.replace(/^\.\/|\/$/g, '')]
  }
  return project.has('drizzle/meta/_journal.json') ? ['drizzle'] : []
}

/** A file, and its entry in the journal. From version 1 on there is no journal: each migration has a folder. */
export function drizzleFiles(project: Project, folder: string, { label, head, up }: Migration, now: Date): NewFile[] {
  const text = `${head}\n${statementsOf(up).join('\n--> statement-breakpoint\n')}\n`
  const names = project.names(folder)
  if (names.some((name) => project.has(`${folder}/${name}/snapshot.json`))) {
    return [{ path: `${folder}/${nextNumber(names, 14, now)}_${label}/migration.sql`, text }]
  }
  const path = `${folder}/meta/_journal.json`
  const journal: Journal = project.has(path) ? (JSON.parse(project.text(path)) as Journal) : EMPTY
  const last = journal.entries.at(-1)
  const idx = (last?.idx ?? -1) + 1
  const number = last === undefined ? '0000' : nextNumber([last.tag], 4, now)
  // The runner takes what is later than the last one that it has run.
  const when = Math.max(now.getTime(), (last?.when ?? 0) + 1)
  const entry = { idx, version: journal.version, when, tag: `${number}_${label}`, breakpoints: true }
  return [
    { path: `${folder}/${entry.tag}.sql`, text },
    { path, text: JSON.stringify({ ...journal, entries: [...journal.entries, entry] }, null, 2) },
  ]
}

/** A statement, with the strings, comments and bodies of functions in which a semicolon does not end it. */
const STATEMENT = /(?:(\$\w*\$)[\s\S]*?\1|--[^\n]*|'[^']*'|"[^"]*"|BEGIN ATOMIC[\s\S]*?\nEND(?=;)|[^;'"$-]|-(?!-)|\$(?!\w*\$))+;/g

/** The statements of one of our own scripts. */
export function statementsOf(script: string): string[] {
  return (script.match(STATEMENT) ?? []).map((statement) => statement.trim())
}
