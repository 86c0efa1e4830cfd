/** No row is lost: by an upgrade, by pg_dump, by pg_upgrade. */
import { spawnSync } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCluster } from '../../support/cluster.ts'
import { clientFolder, ownMajor } from '../../support/postgres.ts'
import type { Check } from '../check.ts'
import { dump, restore } from '../dump.ts'
import { expectEqual, expectSame, expectSameRows } from '../expect.ts'
import {
  createExtension, createPlain, extensionFactsOf, factsOf, fill, fillCurrent, makeRoles, rowsOf, withColumnsOf, type Installation,
} from '../installation.ts'
import { workOff } from '../work-off.ts'
import { freshExtension, RELEASES, upgradePlain } from './alike.ts'

/** Tables whose rows mean nothing elsewhere: who waits, and what is under way. */
export const NOT_DUMPED = ['idle_worker', 'request', 'native_request', 'native_epoch']

const upgrades = RELEASES.flatMap((release): Check[] => [
  {
    title: `an upgrade from ${release} keeps 10 000 jobs in every state, and a worker finishes them`,
    async run({ cluster }) {
      const made = createExtension(cluster, release)
      fill(made)
      const before = rowsOf(made)
      made.sql('ALTER EXTENSION pgq UPDATE')
      expectSameRows(withColumnsOf(before, rowsOf(made)), withColumnsOf(before, before))
      return workOff(made)
    },
  },
  {
    title: `an upgrade of plain SQL in "My Jobs" from ${release} keeps them, and a worker finishes them`,
    async run({ cluster }) {
      const made = createPlain(cluster, 'My Jobs', release)
      fill(made)
      const before = rowsOf(made)
      upgradePlain(made, release)
      expectSameRows(withColumnsOf(before, rowsOf(made)), withColumnsOf(before, before))
      return workOff(made)
    },
  },
  {
    title: `a dump of ${release} is restored where this version is installed`,
    async run({ cluster, donor }) {
      const made = createExtension(donor, release)
      fill(made)
      const before = rowsOf(made, NOT_DUMPED)
      const restored = restore(cluster, dump(made))
      expectSameRows(withColumnsOf(before, rowsOf(restored)), withColumnsOf(before, before))
      return workOff(restored)
    },
  },
])

const dumps: readonly Check[] = [
  {
    title: '10 000 jobs in every state, runs, schedules and triggers survive pg_dump and a restore here, and a worker finishes what it can',
    async run({ cluster, donor }) {
      const made = createExtension(donor)
      fillCurrent(made)
      const before = rowsOf(made, NOT_DUMPED)
      const restored = restore(cluster, dump(made))
      expectSame('catalog', factsOf(restored), factsOf(asFilled(createExtension(cluster))))
      expectSame('extension', extensionFactsOf(restored), extensionFactsOf(freshExtension(cluster)))
      expectSameRows(rowsOf(restored, NOT_DUMPED), before)
      restored.sql(`INSERT INTO public.customer VALUES (3, 'Edsger')`)
      expectEqual('jobs that changes have added', restored.sql(`SELECT ready FROM pgq.queue_stats('mail')`).trim(), '3')
      return workOff(restored)
    },
  },
  {
    title: 'so do those of plain SQL in "My Jobs"',
    async run({ cluster, donor }) {
      const made = createPlain(donor, 'My Jobs')
      fillCurrent(made)
      const before = rowsOf(made)
      const restored = restore(cluster, dump(made), 'My Jobs')
      expectSameRows(rowsOf(restored), before)
      return workOff(restored)
    },
  },
  {
    title: 'a dump leaves the jobs out when pgq.dump_jobs is off, and keeps the settings; one of the schema alone has neither',
    run({ cluster, donor }) {
      const made = createExtension(donor)
      fill(made)
      const restored = restore(cluster, dump(made, [], '-c pgq.dump_jobs=off'))
      const [before, after] = [rowsOf(made), rowsOf(restored)]
      for (const table of ['queue', 'lane', 'endpoint', 'endpoint_secret', 'queue_access']) {
        expectSame(`table ${table}`, after.get(table)!, before.get(table)!)
      }
      for (const table of ['job', 'finished_job', 'unique_key', 'group_hint']) expectEqual(`rows of ${table}`, after.get(table), [])
      expectSameRows(rowsOf(restore(cluster, dump(made, ['--schema-only']))), rowsOf(freshExtension(cluster)))
    },
  },
]

/** A fresh extension with what is in the catalog after fillCurrent: a grant, and the function of a trigger. */
function asFilled(made: Installation): Installation {
  made.sql(`
    SELECT pgq.grant_access('report_worker', 'worker');
    CREATE TABLE public.customer (customer_id integer PRIMARY KEY, name text);
    SELECT pgq.add_job_on_change('welcome', 'public.customer', 'mail', payload_columns => '{customer_id}', unique_key => 'customer_id')`)
  return made
}

const pg_upgrade: Check = {
  title: 'pg_upgrade into a new cluster keeps everything',
  async run({ major }) {
    if (major !== ownMajor()) return 'skipped: no pg_upgrade'
    await using old = await startCluster()
    await using next = await startCluster()
    makeRoles(old)
    const made = createExtension(old)
    fillCurrent(made)
    const [rows, facts, extension_facts] = [rowsOf(made, ['native_request', 'native_epoch']), factsOf(made), extensionFactsOf(made)]
    await old.stop()
    await next.stop()
    runPgUpgrade(old.data_dir, next.data_dir)
    await next.start()
    const upgraded: Installation = { ...made, cluster: next, sql: (script, user = 'postgres') => next.psql(script, { database: made.database, user }) }
    expectSame('catalog', factsOf(upgraded), facts)
    expectSame('extension', extensionFactsOf(upgraded), extension_facts)
    expectSameRows(rowsOf(upgraded, ['native_request', 'native_epoch']), rows)
    return await workOff(upgraded) // The servers must be there so long.
  },
}

/** The real tool; it runs as who owns the data. */
function runPgUpgrade(old_data: string, new_data: string): void {
  const { uid, gid } = statSync(old_data)
  const cwd = mkdtempSync(join(tmpdir(), 'pgq-pg_upgrade-'))
  chownSync(cwd, uid, gid)
  const bin = clientFolder()
  const { status, stdout, stderr } = spawnSync(
    join(bin, 'pg_upgrade'), ['-b', bin, '-B', bin, '-d', old_data, '-D', new_data, '-U', 'postgres', '-s', cwd],
    { cwd, encoding: 'utf8', ...(process.getuid?.() === 0 ? { uid, gid } : {}) })
  rmSync(cwd, { recursive: true })
  if (status !== 0) throw new Error(`pg_upgrade: ${stdout}${stderr}`)
}

export const rows: readonly Check[] = [...upgrades, ...dumps, pg_upgrade]
