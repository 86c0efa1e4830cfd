import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { Command } from 'commander'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { statementsOf } from '../src/cli/drizzle.ts'
import { nextNumber } from '../src/cli/file-names.ts'
import { makeInstallCommand } from '../src/cli/install-command.ts'
import { MIGRATION_TOOLS } from '../src/cli/migration-tools.ts'
import { planFiles } from '../src/cli/plan.ts'
import { openProject } from '../src/cli/project.ts'
import { install, installedVersion, PgQueue } from '../src/index.ts'
import { openPlainSql } from '../src/install-script.ts'
import { pgcFileReaderNode } from '../src/node.ts'
import { newDatabase } from './database-support.ts'
import { until } from './support.ts'

const { version } = await openPlainSql(pgcFileReaderNode)
const label = `install_pgq_${version.replaceAll('.', '_')}`

const roots: string[] = []
afterAll(() => roots.forEach((root) => rmSync(root, { recursive: true })))

/** A project with these files. */
function newProject(files: Readonly<Record<string, string>> = {}): string {
  const root = mkdtempSync(join(tmpdir(), 'pgq-project-'))
  roots.push(root)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

/** All files of a project, and when each was written. */
function filesOf(root: string): Record<string, number> {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => statSync(join(root, path)).isFile()).sort()
  return Object.fromEntries(paths.map((path) => [path, statSync(join(root, path)).mtimeMs]))
}

const printed = vi.spyOn(console, 'log').mockImplementation(() => {})
afterEach(() => {
  printed.mockClear()
  process.exitCode = undefined
})

/** Runs `pgq-install`, and gives what it prints. */
async function run(root: string, ...options: string[]): Promise<string> {
  printed.mockClear()
  await makeInstallCommand(new Command()).parseAsync(['--root', root, '--yes', ...options], { from: 'user' })
  return printed.mock.calls.join('\n')
}

const before = '20240131235959'
describe.each<[tool: string, files: Record<string, string>, path: RegExp]>([
  ['supabase', { 'supabase/config.toml': '' }, /^supabase\/migrations\/\d{14}_install/],
  ['supabase', { [`supabase/migrations/${before}_a.sql`]: '' }, /^supabase\/migrations\/\d{14}_install/],
  ['prisma', { 'prisma/schema.prisma': '', [`prisma/migrations/${before}_a/migration.sql`]: '' }, /^prisma\/migrations\/\d{14}_install_pgq_\w+\/migration\.sql$/],
  ['drizzle', { 'drizzle.config.ts': "export default defineConfig({ out: './db/drizzle' })" }, /^db\/drizzle\/0000_install/],
  ['node-pg-migrate', { 'package.json': '{ "devDependencies": { "node-pg-migrate": "9.0.0" } }' }, /^migrations\/\d{13}_install/],
  ['node-pg-migrate', { 'package.json': '{ "dependencies": { "node-pg-migrate": "9" } }', 'migrations/20240131235959123_a.sql': '' }, /^migrations\/\d{17}_install/],
  ['dbmate', { [`db/migrations/${before}_a.sql`]: '-- migrate:up\nSELECT 1;' }, /^db\/migrations\/\d{14}_install/],
  ['flyway', { 'src/main/resources/db/migration/V7__a.sql': '' }, /^src\/main\/resources\/db\/migration\/V8__install/],
  ['flyway', { 'flyway.toml': '', 'migrations/.keep': '' }, /^migrations\/V\d{14}__install/],
  ['plain', { 'migrations/0009_a.sql': '' }, /^migrations\/0010_install/],
  ['plain', { 'sql/.keep': '' }, /^sql\/\d{14}_install/],
])('in a project of %s', (tool, files, path) => {
  test(`${Object.keys(files).at(-1)} tells where the migration goes and what it is called; the second run writes nothing`, async () => {
    const root = newProject(files)
    const next = MIGRATION_TOOLS.find(({ id }) => id === tool)!.run
    expect(await run(root)).toMatch(new RegExp(`^Wrote .*${label}.*\nNext: ${next.split(' ')[0]!.replace('(', '\\(')}`, 's'))
    const written = filesOf(root)
    const added = Object.keys(written).filter((each) => each.includes(label))
    expect(added).toEqual([expect.stringMatching(path)])
    const text = readFileSync(join(root, added[0]!), 'utf8')
    expect(text).toContain('CREATE OR REPLACE FUNCTION pgq.add_job(')
    expect(text).not.toContain('@extschema@')

    expect(await run(root)).toBe('Nothing to write: all is there.')
    expect(filesOf(root)).toEqual(written)
  })
})

describe('a file', () => {
  test.each([
    [[], 4, '0001'], [['0001_a.sql'], 4, '0002'], [['009_a.sql', '010_b.sql'], 14, '011'], [['V9__a.sql', 'V10__b.sql'], 14, '11'],
    [[], 14, '20240501120000'], [['20240101000000_a.sql'], 14, '20240501120000'], [['20300101000059_a.sql'], 14, '20300101000060'],
    [[], 13, '1714564800000'], [['1700000000_a.sql'], 13, '1714564800'], [['20240101000000000_a.sql'], 13, '20240501120000000'],
    [['README.md', 'meta'], 14, '20240501120000'],
  ] as const)('after %j is numbered in the same way, as the last', (names, usual, number) => {
    expect(nextNumber(names, usual, new Date('2024-05-01T12:00:00Z'))).toBe(number)
  })
})

describe('Drizzle', () => {
  test('finds the migration in its journal, after the others', async () => {
    const entry = { idx: 3, version: '7', when: 4_000_000_000_000, tag: '0003_a', breakpoints: true }
    const root = newProject({ 'drizzle/meta/_journal.json': JSON.stringify({ version: '7', dialect: 'postgresql', entries: [entry] }), 'drizzle/0003_a.sql': '' })
    await run(root)
    expect(JSON.parse(readFileSync(join(root, 'drizzle/meta/_journal.json'), 'utf8'))).toEqual({
      version: '7', dialect: 'postgresql', entries: [entry, { ...entry, idx: 4, when: 4_000_000_000_001, tag: `0004_${label}` }],
    })
    expect(existsSync(join(root, `drizzle/0004_${label}.sql`))).toBe(true)
  })

  test('of version 1 has a folder for each migration', async () => {
    const root = newProject({ 'drizzle.config.ts': '', [`drizzle/${before}_a/snapshot.json`]: '{}', [`drizzle/${before}_a/migration.sql`]: '' })
    await run(root)
    expect(Object.keys(filesOf(root))).toContainEqual(expect.stringMatching(new RegExp(`^drizzle/\\d{14}_${label}/migration.sql$`)))
  })

  test('runs each statement for itself, as prepared statements', async () => {
    const { db } = await newDatabase()
    const root = newProject({ 'drizzle.config.ts': '' })
    await run(root, '--schema', 'My Jobs')
    const text = readFileSync(join(root, `drizzle/0000_${label}_in_my_jobs.sql`), 'utf8')
    await db.transaction(async (transaction) => {
      for (const q of text.split('--> statement-breakpoint')) await transaction.query({ q })
    })
    expect(await installedVersion(db, { schema_name: 'My Jobs' })).toBe(version)
  })

  test('splits what is a statement, whatever is in it', () => {
    const statements = ["SELECT ';' -- ;\n, $1;", 'SELECT $a$ ; $b$ ; $a$;', 'CREATE FUNCTION f() BEGIN ATOMIC\nSELECT 1;\nEND;', 'SELECT ";", 1 - 1;']
    expect(statementsOf(`${statements.join('\n\n')}\n-- that's all`)).toEqual(statements)
  })
})

describe('the migration', () => {
  test.each([['plain', (text: string) => text], ['dbmate', sectionOf('-- migrate:up', '-- migrate:down')], ['node-pg-migrate', sectionOf('-- Up Migration', '-- Down Migration')]])(
    'of %s installs what install() then leaves alone', async (tool, upOf) => {
      const { db } = await newDatabase()
      const root = newProject()
      await run(root, '--migrations', 'm', '--tool', tool, '--schema', 'My Jobs')
      await db.exec(upOf(readFileSync(join(root, Object.keys(filesOf(root))[0]!), 'utf8')))
      expect(await install(pgcFileReaderNode, db, { schema_name: 'My Jobs' })).toEqual({ version, previous_version: version })
      await new PgQueue(db, 'q', 'My Jobs').addJob({})
    })

  test('goes back where the tool can', async () => {
    const { db } = await newDatabase()
    const root = newProject()
    await run(root, '--migrations', 'm', '--tool', 'dbmate')
    const [up, down] = readFileSync(join(root, Object.keys(filesOf(root))[0]!), 'utf8').split('-- migrate:down')
    await db.exec(up!)
    await db.exec(down!)
    expect((await db.query({ q: "SELECT FROM pg_namespace WHERE nspname = 'pgq'" })).rows).toEqual([])
  })

  test('run twice says what is there', async () => {
    const { db } = await newDatabase()
    const root = newProject()
    await run(root, '--migrations', 'm')
    const text = readFileSync(join(root, Object.keys(filesOf(root))[0]!), 'utf8')
    await db.exec(text)
    await expect(db.exec(text)).rejects.toThrow(`expected no pgq in schema pgq, found ${version}`)
  })
})

function sectionOf(from: string, to: string) {
  return (text: string): string => text.slice(text.indexOf(from) + from.length, text.indexOf(to))
}

describe('after an update of the package', () => {
  /** The package as it will be two releases later. */
  const later = {
    list: async () => ['pgq--99.1.0.plain.sql', `pgq--${version}--99.0.0.plain.sql`, 'pgq--99.0.0--99.1.0.plain.sql'],
    read: async (name: string) => `SELECT 'step ${name} in @extschema@';`,
  }
  const plan = async (root: string, tool: string) => planFiles(
    openProject(root), { reader: later, sql: await openPlainSql(later) },
    { schema_name: 'My Jobs', migrations: { folder: 'm', tool: MIGRATION_TOOLS.find(({ id }) => id === tool)! }, tests: undefined }, new Date(),
  )

  test.each(['plain', 'dbmate'])('one file of %s takes all steps', async (tool) => {
    const root = newProject()
    await run(root, '--migrations', 'm', '--tool', tool, '--schema', 'My Jobs')
    const [file, ...others] = await plan(root, tool)
    expect(others).toEqual([])
    expect(file!.path).toMatch(/^m\/\d{14}_update_pgq_99_1_0_in_my_jobs\.sql$/)
    expect(file!.path > Object.keys(filesOf(root))[0]!).toBe(true)
    const steps = [...file!.text.matchAll(/SELECT 'step (.*)';/g)].map(([, step]) => step)
    expect(steps).toEqual([`pgq--${version}--99.0.0.plain.sql in "My Jobs"`, 'pgq--99.0.0--99.1.0.plain.sql in "My Jobs"'])
    expect(file!.text).toContain(`v_found IS DISTINCT FROM '${version}'`)
    expect(file!.text.includes('there is no way back')).toBe(tool === 'dbmate')
    writeFileSync(join(root, file!.path), file!.text)
    expect(await plan(root, tool)).toEqual([])
    await expect(run(root)).rejects.toThrow(`The migrations in m lead to pgq 99.1.0, newer than this package (${version})`)
  })

  test.each(['plain', 'drizzle'])('the real step, from each release, is run by %s', async (id) => {
    const tool = MIGRATION_TOOLS.find((each) => each.id === id)!
    const releases = new URL('../../extension/releases/', import.meta.url)
    const names = readdirSync(releases).filter((name) => /^pgq--[\d.]+\.plain\.sql$/.test(name))
    expect(names).not.toEqual([])
    for (const name of names) {
      const { db } = await newDatabase()
      const root = newProject()
      const released = { list: async () => [name], read: async () => readFileSync(new URL(name, releases), 'utf8') }
      for (const reader of [released, pgcFileReaderNode]) {
        const answers = { schema_name: 'My Jobs', migrations: { folder: 'm', tool }, tests: undefined }
        const files = await planFiles(openProject(root), { reader, sql: await openPlainSql(reader) }, answers, new Date())
        for (const { path, text } of files) {
          mkdirSync(dirname(join(root, path)), { recursive: true })
          writeFileSync(join(root, path), text)
        }
        await db.transaction(async (transaction) => {
          const statements = files[0]!.text.split('--> statement-breakpoint')
          for (const q of statements) await (statements.length > 1 ? transaction.query({ q }) : transaction.exec(q))
        })
      }
      expect(await installedVersion(db, { schema_name: 'My Jobs' })).toBe(version)
    }
  })

  test('another schema is installed from the beginning', async () => {
    const root = newProject()
    await run(root, '--migrations', 'm', '--schema', 'other')
    const [file] = await plan(root, 'plain')
    expect(file!.path).toMatch(/_install_pgq_99_1_0_in_my_jobs\.sql$/)
  })
})

describe('options', () => {
  test('say everything, and what was said is remembered', async () => {
    const root = newProject({ 'supabase/config.toml': '', 'migrations/.keep': '' })
    await run(root, '--schema', 'my_jobs', '--migrations', 'db/sql/', '--tool', 'flyway', '--tests', './db/tests')
    const written = filesOf(root)
    expect(Object.keys(written)).toContainEqual(expect.stringMatching(/^db\/sql\/V\d{14}__install/))
    expect(Object.keys(written)).toContain('db/tests/pgq_my_jobs.test.sql')
    expect(await run(root)).toBe('Nothing to write: all is there.')
    expect(filesOf(root)).toEqual(written)
  })

  test('a test file that was changed is written anew', async () => {
    const root = newProject()
    await run(root, '--no-migrations', '--tests', 'tests')
    const text = readFileSync(join(root, 'tests/pgq.test.sql'), 'utf8')
    writeFileSync(join(root, 'tests/pgq.test.sql'), text.replace(version, '0.0.1'))
    expect(await run(root, '--no-migrations')).toMatch(/^Wrote tests\/pgq.test.sql/)
    expect(readFileSync(join(root, 'tests/pgq.test.sql'), 'utf8')).toBe(text)
  })

  test('--check writes nothing, and fails while something is missing', async () => {
    const root = newProject({ 'migrations/.keep': '' })
    expect(await run(root, '--check')).toMatch(/^Missing migrations\/\d{14}_install/)
    expect(process.exitCode).toBe(1)
    expect(Object.keys(filesOf(root))).toEqual(['migrations/.keep'])
    await run(root)
    process.exitCode = undefined
    await run(root, '--check')
    expect(process.exitCode).toBeUndefined()
  })

  test.each([
    [[], 'Expected `--migrations` to be the folder of your migrations, got \'supabase/migrations, migrations\''],
    [['--tool', 'liquibase', '--migrations', 'm'], 'Expected `--tool` to be one of supabase, prisma, drizzle, node-pg-migrate, dbmate, flyway, plain, got \'liquibase\''],
    [['--schema', "it's"], 'Expected `schema_name` to be a name without any of "$\'\\, got \'it\'s\''],
  ])('%j are refused', async (options, message) => {
    const root = newProject({ 'supabase/config.toml': '', 'migrations/.keep': '' })
    await expect(run(root, ...options)).rejects.toThrow(message)
    expect(Object.keys(filesOf(root))).toHaveLength(2)
  })
})

describe('at a terminal', { timeout: 200_000 }, () => {
  const ENTER = '\r'
  const DOWN = '\x1b[B'

  /** Runs the command at a pseudo-terminal: when it shows a text the keys that go with it are pressed. */
  async function atTerminal(root: string, ...dialogue: readonly (readonly [shown: string, keys: string])[]): Promise<{ code: number; screen: string }> {
    const sdk = resolve(import.meta.dirname, '..')
    // Else it has no columns.
    const command = `stty rows 40 cols 200; ${sdk}/node_modules/.bin/tsx ${sdk}/src/cli/pgq-install.ts`
    const terminal = spawn('script', ['-qec', command, '/dev/null'], { cwd: root, env: { ...process.env, TERM: 'xterm' } })
    let screen = ''
    terminal.stdout.on('data', (data: Buffer) => (screen += stripVTControlCharacters(data.toString())))
    const ended = new Promise<number>((done) => terminal.once('exit', (code) => done(code!)))
    let seen = 0
    for (const [shown, keys] of dialogue) {
      await until(() => screen.indexOf(shown, seen) >= 0, 60_000)
      seen = screen.indexOf(shown, seen) + shown.length
      terminal.stdin.write(keys)
    }
    return { code: await ended, screen }
  }

  test('each answer is asked for, and the second run writes nothing', async () => {
    const root = newProject({ 'supabase/config.toml': '', 'migrations/.keep': '' })
    const first = await atTerminal(root,
      ['Which schema', '\x15my_jobs' + ENTER],
      ['Which folder should the migration go to?', DOWN + ENTER],
      ['Which folder should the tests', ENTER])
    expect(first.screen).toContain('Next: psql "$DATABASE_URL"')
    expect(first.code).toBe(0)
    const written = filesOf(root)
    expect(Object.keys(written)).toEqual(['migrations/.keep', expect.stringMatching(/^migrations\/\d{14}_install_pgq_\w+_in_my_jobs\.sql$/), 'supabase/config.toml', 'supabase/tests/database/pgq_my_jobs.test.sql'])

    const second = await atTerminal(root, ['my_jobs', ENTER], ['Which folder should the migration go to?', ENTER], ['Which folder should the tests', ENTER])
    expect(second.screen).toContain('Nothing to write: all is there.')
    expect(second.code).toBe(0)
    expect(filesOf(root)).toEqual(written)
  })

  test('another folder can be named, and a wrong name is asked for again', async () => {
    const root = newProject()
    const { code } = await atTerminal(root,
      ['Which schema', "it's" + ENTER],
      ['Expected `schema_name`', '\x15pgq' + ENTER],
      ['Which folder should the migration go to?', ENTER],
      ['Which folder?', '\x15db/changes' + ENTER],
      ['What runs its migrations?', ENTER],
      ['Which folder should the tests', DOWN + ENTER])
    expect(code).toBe(0)
    expect(Object.keys(filesOf(root))).toEqual([expect.stringMatching(/^db\/changes\/\d{14}_install/)])
  })

  test('Ctrl+C writes nothing', async () => {
    const root = newProject({ 'migrations/.keep': '' })
    const { code, screen } = await atTerminal(root, ['Which schema', ENTER], ['Which folder', '\x03'])
    expect(screen).toContain('Nothing was written.')
    expect(code).toBe(130)
    expect(Object.keys(filesOf(root))).toEqual(['migrations/.keep'])
  })
})
