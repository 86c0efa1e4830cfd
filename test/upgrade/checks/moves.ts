/** Plain SQL becomes the extension, and the extension plain SQL, by the commands of the README. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Check } from '../check.ts'
import { dump, restore } from '../dump.ts'
import { expectEqual, expectError, expectSame, expectSameRows } from '../expect.ts'
import { createExtension, createPlain, extensionFactsOf, factsOf, fill, rowsOf, type Installation } from '../installation.ts'
import { workOff } from '../work-off.ts'
import { freshExtension, RELEASES } from './alike.ts'
import { NOT_DUMPED } from './rows.ts'

/** What the README gives to psql. */
const [BECOME_EXTENSION, BECOME_PLAIN] = [...readFileSync(resolve(import.meta.dirname, '../../../README.md'), 'utf8')
  .matchAll(/^psql mydb -v ON_ERROR_STOP=1 --single-transaction <<'SQL'\n(.*?)^SQL$/gms)].map(([, sql]) => `BEGIN;\n${sql}COMMIT;`) as [string, string]

const isExtension = (made: Installation): boolean => made.sql("SELECT count(*) FROM pg_extension WHERE extname = 'pgq'").trim() === '1'

const setTrigger = (schema: string): string =>
  `SELECT "${schema}".add_job_on_change('things', 'public.thing', 'things', payload_columns => '{thing_id}')`

/** A view and a trigger that depend on what pgq has, and a grant. */
function depend(made: Installation): void {
  made.sql(`
    CREATE VIEW public.figures AS SELECT s.queue_name, s.ready FROM "${made.schema}".queue_stats() AS s;
    CREATE TABLE public.thing (thing_id integer);
    ${setTrigger(made.schema)};
    SELECT "${made.schema}".grant_access('web_app', 'producer')`)
}
const figures = (made: Installation): string => made.sql('SELECT count(*) FROM public.figures')

/** The trigger of depend() adds its job. */
function expectTrigger(made: Installation): void {
  made.sql('INSERT INTO public.thing (thing_id) VALUES (7)')
  expectEqual('jobs of a trigger', made.sql("SELECT j.payload FROM pgq.list_jobs('things') AS j").trim(), '{"thing_id": 7}')
}

const grantsOf = (made: Installation): string[] => factsOf(made).filter((fact) => fact.startsWith('grant on function'))

export const moves: readonly Check[] = [
  {
    title: 'plain SQL that became the extension is like a fresh one',
    run({ cluster }) {
      const made = createPlain(cluster, 'pgq')
      made.sql(BECOME_EXTENSION)
      expectSame('catalog', factsOf(made), factsOf(freshExtension(cluster)))
      expectSame('extension', extensionFactsOf(made), extensionFactsOf(freshExtension(cluster)))
    },
  },
  {
    title: 'it keeps 10 000 jobs in every state, grants and what depends on it, from "My Jobs" too; a dump carries them here, and a worker finishes them',
    async run({ cluster, donor }) {
      const made = createPlain(donor, 'My Jobs')
      fill(made)
      depend(made)
      const rename = 'ALTER SCHEMA "My Jobs" RENAME TO pgq'
      expectError(/triggers of add_job_on_change call this queue by the name/, () => made.sql(BECOME_EXTENSION.replace('BEGIN;', `BEGIN; ${rename};`)))
      made.sql(`SELECT "My Jobs".remove_job_on_change('things')`)
      const [facts, rows, shown] = [factsOf(made), rowsOf(made), figures(made)]
      made.sql(rename)
      const moved = { ...made, schema: 'pgq' }
      moved.sql(BECOME_EXTENSION)
      expectSame('catalog', factsOf(moved), facts)
      expectSameRows(rowsOf(moved), rows)
      expectEqual('a view', figures(moved), shown)
      const restored = restore(cluster, dump(moved))
      expectSameRows(rowsOf(restored, NOT_DUMPED), rowsOf(moved, NOT_DUMPED))
      expectEqual('a view of the restored', figures(restored), shown)
      expectSame('grants of the restored', grantsOf(restored), grantsOf(moved))
      moved.sql(setTrigger('pgq'))
      expectTrigger(moved)
      return workOff(restored)
    },
  },
  {
    title: 'the extension that became plain SQL keeps the same, and can go back',
    async run({ cluster }) {
      const made = createExtension(cluster)
      fill(made)
      depend(made)
      const [facts, rows, shown] = [factsOf(made), rowsOf(made), figures(made)]
      for (const [script, becomes_extension] of [[BECOME_PLAIN, false], [BECOME_EXTENSION, true], [BECOME_PLAIN, false]] as const) {
        made.sql(script)
        expectEqual('is an extension', isExtension(made), becomes_extension)
        expectSame('catalog', factsOf(made), facts)
        expectSameRows(rowsOf(made), rows)
        expectEqual('a view', figures(made), shown)
      }
      expectTrigger(made)
      return workOff(made)
    },
  },
  ...RELEASES.map((release): Check => ({
    title: `plain SQL of ${release} is not taken for this version`,
    run({ cluster }) {
      const made = createPlain(cluster, 'pgq', release)
      expectError(/expected plain SQL of version .*, found/, () => made.sql(BECOME_EXTENSION))
      expectEqual('is an extension', isExtension(made), false)
    },
  })),
]
