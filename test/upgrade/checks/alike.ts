/** However it was installed, it is the same: by catalog. */
import { readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Cluster } from '../../support/cluster.ts'
import type { Check } from '../check.ts'
import { expectSame } from '../expect.ts'
import { createExtension, createPlain, CURRENT, extensionFactsOf, factsOf, plainScript, type Installation } from '../installation.ts'

/** The versions that were released before this one, the oldest first. */
export const RELEASES: readonly string[] = readdirSync(resolve(import.meta.dirname, '../../../extension/releases'))
  .flatMap((name) => /^pgq--(\d+\.\d+\.\d+)\.sql$/.exec(name)?.[1] ?? [])
  .filter((version) => version !== CURRENT)
  .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))

/** Brings plain SQL of one release to the next, and so on to the current version. */
export function upgradePlain(made: Installation, from: string): void {
  const versions = [...RELEASES.slice(RELEASES.indexOf(from)), CURRENT]
  for (const [place, to] of versions.slice(1).entries()) {
    const folder = to === CURRENT ? 'extension' : 'extension/releases'
    made.sql(`BEGIN; ${plainScript(`${folder}/pgq--${versions[place]}--${to}.plain.sql`, made.schema)}; COMMIT`)
  }
}

function expectAlike(made: Installation, like: Installation): void {
  expectSame('catalog', factsOf(made), factsOf(like))
}

const fresh = new Map<Cluster, Installation>()
/** The current extension, as CREATE EXTENSION makes it; nothing is done with it. */
export function freshExtension(cluster: Cluster): Installation {
  const made = fresh.get(cluster) ?? createExtension(cluster)
  fresh.set(cluster, made)
  return made
}

const upgraded = RELEASES.map((release): Check => ({
  title: `the extension upgraded from ${release} is like a fresh one`,
  run({ cluster }) {
    const made = createExtension(cluster, release)
    made.sql('ALTER EXTENSION pgq UPDATE')
    expectAlike(made, freshExtension(cluster))
    expectSame('extension', extensionFactsOf(made), extensionFactsOf(freshExtension(cluster)))
  },
}))

const step_by_step: Check = {
  title: 'the extension upgraded release by release is like a fresh one',
  run({ cluster }) {
    const [oldest, ...next] = RELEASES
    const made = createExtension(cluster, oldest)
    for (const version of [...next, CURRENT]) made.sql(`ALTER EXTENSION pgq UPDATE TO '${version}'`)
    expectAlike(made, freshExtension(cluster))
    expectSame('extension', extensionFactsOf(made), extensionFactsOf(freshExtension(cluster)))
  },
}

const plain = ['pgq', 'My Jobs'].flatMap((schema): Check[] => [
  {
    title: `plain SQL in ${schema === 'pgq' ? schema : `"${schema}"`} is like the extension`,
    run({ cluster }) {
      expectAlike(createPlain(cluster, schema), freshExtension(cluster))
    },
  },
  ...RELEASES.map((release): Check => ({
    title: `plain SQL in ${schema === 'pgq' ? schema : `"${schema}"`} upgraded from ${release} is like the extension`,
    run({ cluster }) {
      const made = createPlain(cluster, schema, release)
      upgradePlain(made, release)
      expectAlike(made, freshExtension(cluster))
    },
  })),
])

export const alike: readonly Check[] = [...upgraded, step_by_step, ...plain]
