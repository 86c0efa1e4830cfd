/** The pgTAP list of test/sql, as runners that are not psql take it. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')

export interface TestFile {
  readonly name: string
  readonly sql: string
  /** Runners that leave it out, from its line `-- Skip on: plain, non-superuser, pglite`. */
  readonly skip_on: readonly string[]
}

/** The pgTAP list, without the lines that are meant for psql. */
export function testFiles(): TestFile[] {
  return namesIn('test/sql', '.sql').map((name) => {
    const text = readFileSync(resolve(ROOT, 'test/sql', `${name}.sql`), 'utf8')
    return {
      name: `test/sql/${name}.sql`,
      sql: withoutPsql(text),
      skip_on: /^-- Skip on: (.+)$/m.exec(text)?.[1]?.split(/,\s*/) ?? [],
    }
  })
}

/** What psql would read by `\i`, in its place; its other commands are left out. */
function withoutPsql(text: string): string {
  return text
    .replace(/^\\i (test\/(?:fixtures|support)\/\S+)$/gm, (_, file: string) => readFileSync(resolve(ROOT, file), 'utf8'))
    .replace(/^\\.*$/gm, '')
}

/** A test for the schema `"My Jobs"`, whose name is made to break whatever forgets to quote. */
export const moved = (sql: string): string =>
  sql.replace(/(?<!_setting\('|_config\(')\bpgq\./g, '"My Jobs".').replace(/'pgq'/g, `'My Jobs'`)

/** Files of a folder, without their ending. */
export function namesIn(folder: string, ending: string): string[] {
  const path = resolve(ROOT, folder)
  if (!existsSync(path)) return []
  return readdirSync(path).filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length)).sort()
}
