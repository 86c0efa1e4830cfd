/** The pgTAP list, on what was made new and on what was upgraded. */
import { testFiles } from '../../support/pgtap.ts'
import { ownMajor } from '../../support/postgres.ts'
import { add, fail, readTap, tally } from '../../support/tap.ts'
import type { Check } from '../check.ts'
import { createExtension, type Installation } from '../installation.ts'
import { RELEASES } from './alike.ts'

function runList(made: Installation): string {
  made.sql('CREATE EXTENSION pgtap')
  const result = tally()
  for (const { name, sql } of testFiles()) {
    try {
      add(result, readTap(name, made.sql(sql)))
    } catch (error) {
      const { message, stdout } = error as Error & { stdout?: string }
      add(result, readTap(name, stdout ?? ''))
      fail(result, `${name}: ${message}`)
    }
  }
  if (result.failed > 0) throw new Error(`${result.failed} assertions of ${result.passed + result.failed}\n${result.problems.join('\n')}`)
  return `${result.passed} assertions`
}

export const pgtap: readonly Check[] = [
  {
    title: 'the pgTAP list holds on a fresh extension',
    run: ({ major, cluster }) => (major === ownMajor() ? 'skipped: that is the stage pgtap' : runList(createExtension(cluster))),
  },
  ...RELEASES.map((release): Check => ({
    title: `the pgTAP list holds on an extension upgraded from ${release}`,
    run({ cluster }) {
      const made = createExtension(cluster, release)
      made.sql('ALTER EXTENSION pgq UPDATE')
      return runList(made)
    },
  })),
]
