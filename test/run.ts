/** All stages of `make test`; test/run sets up what they need and calls this. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { pgtap } from '@electric-sql/pglite-pgtap'
import { pgq } from '../sdk-ts/src/pglite.ts'
import { dockerProblems } from './docker.ts'
import { startCluster, type Cluster } from './support/cluster.ts'
import { moved, namesIn, testFiles } from './support/pgtap.ts'
import { MAJORS, ownMajor } from './support/postgres.ts'
import { add, fail, readTap, tally, type Tally } from './support/tap.ts'
import { checkUpgrades } from './upgrade/matrix.ts'

const ROOT = resolve(import.meta.dirname, '..')
const OUTPUT = resolve(ROOT, 'test/output')
const accept = process.argv.includes('--accept')
const option = (name: string): string | undefined =>
  process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3)

/** PostgreSQLs that `upgrade` runs on: ours and the newest, or those that are named, or all. */
function majors(): readonly number[] {
  const named = option('majors')
  if (named === 'all') return MAJORS
  return named?.split(',').map(Number) ?? [...new Set([ownMajor(), MAJORS.at(-1)!])]
}

const stages: Readonly<Record<string, readonly [title: string, run: () => Tally | Promise<Tally>]>> = {
  checks: ['versions agree, files are where they belong, types fit', checks],
  pgtap: ['pgTAP on the extension (make installcheck)', pgtapOnExtension],
  isolation: ['two sessions at once (make installcheck)', isolation],
  plain: ['pgTAP on plain SQL in schema "My Jobs"', pgtapOnPlainSql],
  pglite: ['pgTAP on PGlite', pgtapOnPglite],
  sdk: ['the SDK on a real server (vitest)', () => vitest('sdk')],
  native: ['the dispatcher inside Postgres, on pg_cron and a double of pg_net (vitest)', () => vitest('native')],
  chaos: ['crashes and crowds (vitest)', () => vitest('chaos')],
  upgrade: ['installed, upgraded, dumped, restored and removed, on this PostgreSQL and the newest', () => checkUpgrades({ majors: majors(), only: option('only') ?? '' })],
  demo: ['make demo, in PGlite and on a real server', demo],
  bench: ['make bench runs, with pgq and two peers; its figures mean nothing here', bench],
}

// ---------------------------------------------------------------------------------------------------------------------
// What stages share

let shared: Promise<Cluster> | undefined
/** The server of all stages that do not crash theirs. */
const server = (): Promise<Cluster> => (shared ??= startCluster({ settings: { max_connections: 300 } }))

function command(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): { ok: boolean; output: string } {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd: ROOT, encoding: 'utf8', env: { ...process.env, ...env }, maxBuffer: 1 << 28,
  })
  return { ok: status === 0, output: `${error?.message ?? ''}${stdout}${stderr}` }
}

// ---------------------------------------------------------------------------------------------------------------------
// Stages

function checks(): Tally {
  const result = tally()
  for (const [program, ...args] of [
    ['make', '-s', 'check-version', 'check-layout', 'check-doc', 'check-releases'],
    ['sdk-ts/node_modules/.bin/tsc', '-p', 'sdk-ts'],
  ] as const) {
    const { ok, output } = command(program, args)
    if (ok) result.passed += 1
    else fail(result, `${program} ${args.join(' ')}\n${output}`)
  }
  const docker = dockerProblems()
  if (docker.length === 0) result.passed += 1
  else fail(result, docker.join('\n'))
  return result
}

/** Runs one kind of test by PGXS, and looks at what each has printed. */
async function installcheck(
  kind: 'REGRESS' | 'ISOLATION', folder: string, ending: string, output: string,
  judge: (title: string, printed: string) => Tally,
): Promise<Tally> {
  const result = tally()
  const expected = (name: string): string => resolve(ROOT, 'test/expected', `${name}.out`)
  const names = namesIn(folder, ending).filter((name) => {
    // pg_regress gives up altogether when there is no file to compare with.
    if (accept && !existsSync(expected(name))) writeFileSync(expected(name), '')
    if (existsSync(expected(name))) return true
    fail(result, `${folder}/${name}${ending}: no expected output, \`test/run --accept\` makes it`)
    return false
  })
  if (names.length === 0) return result

  const { host, port } = await server()
  rmSync(output, { recursive: true, force: true })
  const run = command(
    'make',
    ['-s', 'installcheck', 'REGRESS=', 'ISOLATION=', `${kind}=${names.join(' ')}`],
    { PGHOST: host, PGPORT: `${port}`, PGUSER: 'postgres' },
  )
  const diffs_file = resolve(output, 'regression.diffs')
  const diffs = existsSync(diffs_file) ? readFileSync(diffs_file, 'utf8') : ''
  let show_diffs = false
  for (const name of names) {
    const title = `${folder}/${name}${ending}`
    const printed = resolve(output, 'results', `${name}.out`)
    const one = tally()
    if (existsSync(printed)) add(one, judge(title, readFileSync(printed, 'utf8')))
    else fail(one, `${title}: did not run`)
    // Nothing is wrong with it, but it is not what we expected. (A failed assertion has told more than a diff would.)
    if (one.failed === 0 && !accept && diffs.includes(`/results/${name}.out`)) {
      fail(one, `${title}: not as in test/expected (if it is right: test/run --accept)`)
      show_diffs = true
    }
    if (accept && one.failed === 0) copyFileSync(printed, expected(name))
    else if (accept && readFileSync(expected(name), 'utf8') === '') rmSync(expected(name))
    add(result, one)
  }
  if (show_diffs) result.problems.push(diffs)
  if (!run.ok && diffs === '') result.problems.push(run.output)
  return result
}

function pgtapOnExtension(): Promise<Tally> {
  return installcheck('REGRESS', 'test/sql', '.sql', OUTPUT, readTap)
}

/** Here the comparison with the expected output is the test, one for each spec. */
async function isolation(): Promise<Tally> {
  const result = await installcheck('ISOLATION', 'test/specs', '.spec', resolve(OUTPUT, 'isolation'), (title, printed) => {
    const one = tally()
    if (!printed.startsWith('Parsed test spec')) fail(one, `${title}: ${printed}`)
    return one
  })
  result.passed = namesIn('test/specs', '.spec').length - result.failed
  return result
}

/** The same list where the extension is not installed: by a superuser who sees pgTAP only, and by an ordinary owner. */
async function pgtapOnPlainSql(): Promise<Tally> {
  const result = tally()
  const { psql } = await server()
  const has_plpgsql_check = psql(`SELECT count(*) FROM pg_available_extensions WHERE name = 'plpgsql_check'`).trim() === '1'
  const plain = readFileSync(resolve(ROOT, 'extension/pgq.plain.sql'), 'utf8').replaceAll('@extschema@', '"My Jobs"')

  psql('CREATE ROLE plain_owner LOGIN CREATEROLE')
  for (const { database, user, search_path } of [
    { database: 'plain_empty_path', user: 'postgres', search_path: 'tap' },
    { database: 'plain_non_superuser', user: 'plain_owner', search_path: '"$user", public, tap' },
  ]) {
    psql(`CREATE DATABASE ${database} OWNER ${user}`)
    psql(`
      CREATE SCHEMA tap;
      GRANT USAGE ON SCHEMA tap TO PUBLIC;
      CREATE EXTENSION pgtap SCHEMA tap;
      ${has_plpgsql_check ? 'CREATE EXTENSION plpgsql_check SCHEMA tap;' : ''}
      ALTER DATABASE ${database} SET search_path = ${search_path};`, { database })
    psql(`SET search_path = ''; BEGIN; ${plain}; COMMIT`, { database, user })

    for (const { name, sql, skip_on } of testFiles()) {
      if (skip_on.includes('plain') || (user !== 'postgres' && skip_on.includes('non-superuser'))) continue
      const title = `${name} (${database})`
      try {
        add(result, readTap(title, psql(moved(sql), { database, user })))
      } catch (error) {
        const { message, stdout } = error as Error & { stdout?: string }
        add(result, readTap(title, stdout ?? ''))
        fail(result, `${title}: ${message}`)
      }
    }
  }
  return result
}

async function pgtapOnPglite(): Promise<Tally> {
  const result = tally()
  await using db = await PGlite.create({ extensions: { pgq, pgtap } })
  await db.exec('CREATE EXTENSION pgtap; CREATE EXTENSION pgq')
  for (const { name, sql, skip_on } of testFiles()) {
    if (skip_on.includes('pglite')) continue
    const title = `${name} (PGlite)`
    try {
      const results = await db.exec(sql, { rowMode: 'array' })
      const lines = results.flatMap(({ rows }) => rows.map((row) => (row as unknown as unknown[]).join('|')))
      add(result, readTap(title, lines.join('\n')))
    } catch (error) {
      const { message, position, detail, where } = error as Error & { position?: string; detail?: string; where?: string }
      const line = position === undefined ? '' : ` at line ${sql.slice(0, Number(position)).split('\n').length}`
      fail(result, [`${title}: ${message}${line}`, detail, where].filter(Boolean).join('\n  '))
      await db.exec('ROLLBACK')
    }
  }
  return result
}

async function vitest(project: string): Promise<Tally> {
  const result = tally()
  const { psql, url_of } = await server()
  const database = `test_${project}`
  psql(`CREATE DATABASE ${database}`)
  psql('CREATE EXTENSION pgq', { database })

  const report = resolve(OUTPUT, `${project}.json`)
  mkdirSync(OUTPUT, { recursive: true })
  rmSync(report, { force: true })
  const { status } = spawnSync(
    resolve(ROOT, 'sdk-ts/node_modules/.bin/vitest'),
    ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    { cwd: resolve(ROOT, 'sdk-ts'), stdio: 'inherit', env: { ...process.env, PGQ_TEST_DATABASE_URL: url_of(database) } },
  )
  if (existsSync(report)) {
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'))
    result.passed = numPassedTests
    result.failed = numFailedTests
  }
  // A file that cannot be loaded, or an error outside of any test.
  if (status !== 0 && result.failed === 0) fail(result, `vitest ended with status ${status}`)
  return result
}

async function demo(): Promise<Tally> {
  const result = tally()
  const { psql, url_of } = await server()
  psql('CREATE DATABASE demo')
  for (const [place, DATABASE_URL] of [['PGlite', ''], ['a real server', url_of('demo')]] as const) {
    const { ok, output } = command('make', ['-s', 'demo'], { DATABASE_URL })
    if (ok) result.passed += 1
    else fail(result, `make demo on ${place}\n${output}`)
  }
  return result
}

/** The bench checks each row for itself: a job that is not drained, or a figure that is missing, ends it. */
function bench(): Tally {
  const result = tally()
  const { ok, output } = command('test/bench/run', ['--quick', '--peers', 'pgq,graphile-worker,pg-boss'])
  const types = ok ? command('sdk-ts/node_modules/.bin/tsc', ['-p', 'test/bench']) : { ok, output }
  if (ok && types.ok) result.passed += 1
  else fail(result, `make bench\n${types.output}`)
  return result
}

// ---------------------------------------------------------------------------------------------------------------------

const asked = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))
const unknown = asked.filter((name) => !(name in stages))
if (unknown.length > 0) {
  console.error(`Expected stages to be among ${Object.keys(stages).join(', ')}, got ${unknown.join(', ')}`)
  process.exit(2)
}
// So that the servers are stopped, which happens at exit.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))

const began = performance.now()
const say = (text: string): void => console.log(`[${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s] ${text}`)
const total = tally()
for (const [name, [title, run]] of Object.entries(stages)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  say(`${name}: ${title}`)
  let result = tally()
  try {
    result = await run()
    if (result.passed + result.failed === 0) fail(result, 'no tests found')
  } catch (error) {
    fail(result, error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  for (const problem of result.problems) console.log(problem.trimEnd())
  say(`${name}: ${result.passed} passed, ${result.failed} failed`)
  add(total, result)
}
await (await shared)?.[Symbol.asyncDispose]()
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exit(total.failed > 0 ? 1 : 0)
