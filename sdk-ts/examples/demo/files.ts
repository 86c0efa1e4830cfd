/** The jobs that measure files. */
import { createHash } from 'node:crypto'
import { access, constants, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface FileJob {
  readonly folder: string
  readonly path: string
}

export interface FileResult {
  readonly bytes: number
  readonly words: number
  readonly sha256: string
}

/** The handler: what it returns is kept as the job's output. */
export async function measureFile({ folder, path }: FileJob): Promise<FileResult> {
  const content = await readFile(join(folder, path))
  return {
    bytes: content.length,
    words: content.toString('utf8').match(/\S+/g)?.length ?? 0,
    sha256: createHash('sha256').update(content).digest('hex'),
  }
}

const MOST_FILES = 200
const LARGEST_BYTES = 16 * 1024 * 1024
const SKIPPED_FOLDERS = new Set(['node_modules', '.git'])

/** The files below a folder, at most MOST_FILES; `note` says what was left out. */
export async function listFiles(folder: string): Promise<{ paths: string[]; note: string }> {
  await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`expected INPUT to be a folder that can be read, got '${folder}' (${error.code})`)
  })
  const paths: string[] = []
  let left_out = 0

  async function visit(path: string): Promise<void> {
    const entries = await readdir(join(folder, path), { withFileTypes: true })
    entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const entry of entries) {
      if (paths.length >= MOST_FILES) return
      const inner = join(path, entry.name)
      // Neither links, which may lead in circles, nor devices and sockets.
      if (entry.isFile()) {
        if (await isFit(join(folder, inner))) paths.push(inner)
        else left_out += 1
      } else if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) {
        await visit(inner).catch(() => (left_out += 1)) // A folder that may not be read.
      }
    }
  }

  await visit('')
  if (paths.length === 0) throw new Error(`expected INPUT to have files, got '${folder}'`)
  const notes = [
    paths.length === MOST_FILES && `the first ${MOST_FILES}`,
    left_out > 0 && `without ${left_out} that are too large or may not be read`,
  ].filter((text) => text)
  return { paths, note: notes.length > 0 ? ` (${notes.join(', ')})` : '' }
}

async function isFit(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK)
    return (await stat(path)).size <= LARGEST_BYTES
  } catch {
    return false
  }
}

/** A folder for the file that comes too late. */
export async function makeScratchFolder(): Promise<AsyncDisposable & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'pgq-demo-'))
  return {
    folder,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}
