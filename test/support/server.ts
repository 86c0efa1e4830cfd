/**
 * Gives vitest a server with the extension, for who runs `npm test` alone. Does nothing when PGQ_TEST_DATABASE_URL
 * names one. The extension must have been installed (`make install`).
 */
import { startCluster } from './cluster.ts'

export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env['PGQ_TEST_DATABASE_URL']) return undefined
  const cluster = await startCluster()
  cluster.psql('CREATE EXTENSION pgq')
  process.env['PGQ_TEST_DATABASE_URL'] = cluster.url
  return async () => cluster[Symbol.asyncDispose]()
}
