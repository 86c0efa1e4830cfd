/** Who owns and may use it, after an upgrade as before. */
import type { Check } from '../check.ts'
import { expectEqual, expectError, expectSame } from '../expect.ts'
import { createExtension, createPlain, emptyDatabase, extensionFactsOf, factsOf, type Installation } from '../installation.ts'
import { dump, restore } from '../dump.ts'
import { ownMajor } from '../../support/postgres.ts'
import { RELEASES, upgradePlain } from './alike.ts'

const oldest = RELEASES[0]!

/** The functions that a role was granted, of the schema pgq. */
const functionsOf = (made: Installation, role: string): string[] => made.sql(`
  SELECT p.proname FROM pg_proc AS p
  WHERE p.pronamespace = '"${made.schema}"'::regnamespace AND has_function_privilege('${role}', p.oid, 'EXECUTE') ORDER BY 1`).trim().split('\n')

const functionsOfAccess = (made: Installation, access: string): string[] => made.sql(`
  SELECT DISTINCT p.proname FROM unnest("${made.schema}"._functions_of('${access}') || "${made.schema}"._functions_of('any')) AS f (oid)
  JOIN pg_proc AS p ON p.oid = f.oid ORDER BY 1`).trim().split('\n')

/** As grant_access does it, and to the letter. */
function grant({ schema, sql }: Installation): void {
  sql(`
    SELECT "${schema}".grant_access('report_worker', 'worker');
    SELECT "${schema}".grant_access('web_app', 'producer');
    GRANT USAGE ON SCHEMA "${schema}" TO queue_owner;
    GRANT EXECUTE ON FUNCTION "${schema}".add_job TO queue_owner WITH GRANT OPTION;
    GRANT EXECUTE ON FUNCTION "${schema}".get_job TO queue_owner`)
}

function expectGrants(made: Installation): void {
  expectSame('functions of a worker', functionsOf(made, 'report_worker'), functionsOfAccess(made, 'worker'))
  expectSame('functions of a producer', functionsOf(made, 'web_app'), functionsOfAccess(made, 'producer'))
  expectSame('functions granted to the letter', functionsOf(made, 'queue_owner'), ['add_job', 'get_job'])
  made.sql(`SET ROLE queue_owner; GRANT EXECUTE ON FUNCTION "${made.schema}".add_job TO web_app`)
}

export const rights: readonly Check[] = [
  {
    title: 'an upgrade keeps all grants, and gives an access that was granted whole what it has gained',
    run({ cluster }) {
      for (const made of [createExtension(cluster, oldest), createPlain(cluster, 'My Jobs', oldest)]) {
        grant(made)
        if (made.schema === 'pgq') made.sql('ALTER EXTENSION pgq UPDATE')
        else upgradePlain(made, oldest)
        expectGrants(made)
      }
    },
  },
  {
    title: 'default privileges of the user are as they were, after an upgrade that grants',
    run({ cluster }) {
      const made = createExtension(cluster, oldest)
      made.sql(`
        ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON ROUTINES TO web_app`)
      grant(made)
      const defaults = (): string[] => factsOf(made).filter((line) => line.startsWith('default privileges'))
      const before = defaults()
      expectEqual('default privileges', before.length, 2)
      made.sql('ALTER EXTENSION pgq UPDATE')
      expectSame('default privileges', defaults(), before)
      expectGrants(made)
    },
  },
  {
    title: 'a dump that is made after an upgrade carries these grants',
    run({ major, cluster }) {
      const made = createExtension(cluster, oldest)
      grant(made)
      made.sql('ALTER EXTENSION pgq UPDATE')
      // What pg_dump takes for the extension's own, and leaves out.
      expectSame('own grants to others than the owner',
        extensionFactsOf(made).filter((line) => line.startsWith('own grant') && !line.endsWith(' | {postgres=X/postgres}')), [])
      if (major !== ownMajor()) return
      const restored = restore(cluster, dump(made))
      expectSame('catalog', factsOf(restored), factsOf(made))
      expectGrants(restored)
    },
  },
  {
    title: 'who is no superuser installs and upgrades in a database of their own',
    run({ cluster }) {
      const made = emptyDatabase(cluster, 'pgq', 'queue_owner')
      made.sql(`CREATE EXTENSION pgq VERSION '${oldest}'; ALTER EXTENSION pgq UPDATE`, 'queue_owner')
      expectSame('owners', ownersOf(made), ['queue_owner'])
      expectEqual('a job', made.sql(`SELECT is_new FROM pgq.add_job('mail', '1')`, 'queue_owner').trim(), 't')
    },
  },
  {
    title: 'what an upgrade by a superuser adds belongs to the owner of the rest, in plain SQL too',
    run({ cluster }) {
      const extension = emptyDatabase(cluster, 'pgq', 'queue_owner')
      extension.sql(`CREATE EXTENSION pgq VERSION '${oldest}'`, 'queue_owner')
      extension.sql('ALTER EXTENSION pgq UPDATE; CREATE TABLE public.mine ()')
      const plain = createPlain(cluster, 'My Jobs', oldest, 'queue_owner')
      upgradePlain(plain, oldest)
      for (const made of [extension, plain]) expectSame('owners', ownersOf(made), ['queue_owner'])
      expectEqual('owner of what came after', extension.sql(`SELECT tableowner FROM pg_tables WHERE tablename = 'mine'`).trim(), 'postgres')
    },
  },
  {
    title: 'plain SQL that upgrades from another version is refused',
    run({ cluster }) {
      const made = createPlain(cluster, 'My Jobs')
      expectError(/expected version \S+ in schema "My Jobs", got/, () => upgradePlain(made, oldest))
    },
  },
]

const ownersOf = (made: Installation): string[] =>
  factsOf(made).flatMap((line) => /^owner \| (\S+)/.exec(line)?.[1] ?? [])
