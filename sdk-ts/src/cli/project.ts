/** The folder that the command works in, and the files that it has written there before. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

/** A look into a folder of source code; paths are relative to it. */
export interface Project {
  readonly root: string
  has(path: string): boolean
  /** The text of a file; empty where there is none. */
  text(path: string): string
  /** What a folder has, sorted; nothing where there is none. */
  names(folder: string): string[]
}

export function openProject(root: string): Project {
  const at = (path: string): string => resolve(root, path)
  const has = (path: string): boolean => existsSync(at(path))
  return {
    root: resolve(root),
    has,
    text: (path) => (has(path) ? readFileSync(at(path), 'utf8') : ''),
    names: (folder) => (has(folder) ? readdirSync(at(folder)).sort() : []),
  }
}

/** A folder as it is written from the root of the project. */
export function folderIn(project: Project, folder: string): string {
  return relative(project.root, resolve(project.root, folder)) || '.'
}

/** What a written file says of itself, in a line of its own. */
export interface Mark {
  readonly what: 'migration' | 'tests'
  readonly schema_name: string
  /** The version of pgq that the file leads to, or tests. */
  readonly version: string
  /** The id of the tool that runs the migrations. */
  readonly tool?: string
}

export interface WrittenFile extends Mark {
  /** Relative to the root. */
  readonly path: string
  readonly folder: string
}

const MARK = /^-- pgq-install: (\{.*\})$/m
/** How much of a file is looked at: the mark stands at its beginning. */
const HEAD = 1000
/** How far down files are looked for. */
const DEPTH = 6

export function markLine(mark: Mark): string {
  return `-- pgq-install: ${JSON.stringify(mark)}`
}

/** Finds the files that have a mark, in a folder and below it. */
export function findWritten(project: Project, folder = '.', depth = DEPTH): WrittenFile[] {
  if (!project.has(folder)) return []
  const entries = readdirSync(resolve(project.root, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap((entry): WrittenFile[] => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return depth > 0 && !/^(\.|node_modules$)/.test(entry.name) ? findWritten(project, path, depth - 1) : []
    if (!entry.isFile() || !entry.name.endsWith('.sql')) return []
    const mark = MARK.exec(project.text(path).slice(0, HEAD))?.[1]
    return mark === undefined ? [] : [{ ...(JSON.parse(mark) as Mark), path, folder }]
  })
}
