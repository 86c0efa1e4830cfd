/**
 * The extension for PGlite, Postgres in your process: no server, nothing to install.
 * Its tarball holds what `make install` puts on a server: pgq.control and the script made of extension/*.
 */
import type { Extension } from '@electric-sql/pglite'

/**
 * Makes `CREATE EXTENSION pgq` work in PGlite.
 *
 * @example
 * ```ts
 * import { PGlite } from '@electric-sql/pglite'
 * import { pgq } from 'pgq/pglite'
 *
 * const db = await PGlite.create({ extensions: { pgq } })
 * await db.exec('CREATE EXTENSION pgq')
 * ```
 */
export const pgq: Extension = {
  name: 'pgq',
  // The same address from src/ (tests) and from dist/ (the published package).
  setup: async () => ({ bundlePath: new URL('../dist/pgq.tar.gz', import.meta.url) }),
}
