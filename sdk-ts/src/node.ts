/** What needs Node (or Deno, or Bun): reading the SQL that comes with this package. */
import { readdir, readFile } from 'node:fs/promises'
import type { PgqFileReader } from './install-script.ts'

/** A reader of one folder. */
export function folderReader(folder: URL): PgqFileReader {
  return {
    list: () => readdir(folder),
    read: (file_name) => readFile(new URL(file_name, folder), 'utf8'),
  }
}

/** Reads the SQL of this package. The same address from src/ (tests) and from dist/ (the published package). */
export const pgcFileReaderNode: PgqFileReader = folderReader(new URL('../dist/sql/', import.meta.url))
