import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newDatabase } from './database-support.ts'

/** The package as npm delivers it: packed, installed into a project, and used there as the READMEs show. */
const sdk = resolve(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'pgq-package-'))
const project = join(folder, 'project')
afterAll(() => rmSync(folder, { recursive: true }))

async function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 26 })
  return stdout
}

const packed: string[] = []
beforeAll(async () => {
  // Compiled here, because others read dist/ meanwhile. What make puts there is there already.
  const source = join(folder, 'source')
  await run(join(sdk, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--outDir', join(source, 'dist')], sdk)
  for (const path of ['package.json', 'README.md', 'dist/sql', 'dist/pgq.tar.gz']) cpSync(join(sdk, path), join(source, path), { recursive: true })
  const [{ filename, files }] = JSON.parse(await run('npm', ['pack', '--json', '--ignore-scripts'], source))
  packed.push(...files.map(({ path }: { path: string }) => path))
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "name": "project", "type": "module" }')
  const { devDependencies } = JSON.parse(readFileSync(join(sdk, 'package.json'), 'utf8'))
  await run('npm', [
    'install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', join(source, filename), `@electric-sql/pglite@${devDependencies['@electric-sql/pglite']}`,
  ], project)
}, 180_000)

/** The code of a README that has these words in it. */
function snippet(page: string, words: string): string {
  const text = readFileSync(resolve(sdk, page), 'utf8')
  const found = [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, block]) => block!).filter((block) => block.includes(words))
  expect(found).toHaveLength(1)
  return found[0]!
}

const node = (code: string, env: NodeJS.ProcessEnv = {}): Promise<string> => {
  writeFileSync(join(project, 'program.mjs'), code.replace(/(\w)!/g, '$1').replace(/<\{.*?\}>/g, ''))
  return run(process.execPath, ['program.mjs'], project, env)
}

test('the package holds what is needed, and no more', () => {
  expect([...new Set(packed.map((path) => path.replace(/\/[^/]*$/, '/')))].sort()).toEqual(['README.md', 'dist/', 'dist/cli/', 'dist/sql/', 'package.json'])
  expect(packed.filter((path) => /test|\.tsx?$/.test(path) && !path.endsWith('.d.ts'))).toEqual(['dist/sql/pgq_test.sql'])
})

test('the example of PGlite makes the extension', async () => {
  expect(await node(`${snippet('README.md', "from 'pgq/pglite'")}
    const { job_id } = await queue.addJob({ to: 'ada@example.org' })
    console.log(job_id, (await queue.pickNextJob()).job.payload.to)`)).toBe('1 ada@example.org\n')
}, 60_000)

test('the example of install() installs', async () => {
  const { url } = await newDatabase()
  const code = `${snippet('README.md', 'pgcFileReaderNode')}
    const installed = await installedVersion(db, { schema_name: 'my_jobs' })
    await db.end()
    console.log(installed)`
  const { version } = JSON.parse(readFileSync(join(sdk, 'package.json'), 'utf8'))
  expect(await node(code, { DATABASE_URL: url })).toBe(`${version}\n`)
})

test.each(['pgq-install', 'pg-queue-install-node', 'pgq install'])('npx %s writes a migration', async (command) => {
  const migrations = `migrations of ${command}`
  await run('npx', ['--no-install', ...command.split(' '), '--yes', '--migrations', migrations, '--tests', migrations], project)
  expect(readdirSync(join(project, migrations))).toEqual([expect.stringMatching(/^\d{14}_install_pgq/), 'pgq.test.sql'])
})

test('a wrong option is told in one line', async () => {
  await expect(run('npx', ['--no-install', 'pgq', 'install', '--yes', '--tool', 'x', '--migrations', 'm'], project)).rejects.toMatchObject({
    code: 1, stderr: expect.stringMatching(/(^|\n)Expected `--tool` to be one of [^\n]*, got 'x'\n$/),
  })
})
