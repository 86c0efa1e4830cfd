/** The npm packages of test/support/npm, which are fetched when a test needs them. */
import { execFileSync } from 'node:child_process'
import { existsSync, statSync, utimesSync } from 'node:fs'
import { resolve } from 'node:path'

const FOLDER = resolve(import.meta.dirname, 'npm')

/** Their node_modules. */
export function testPackages(): string {
  const [lock, done] = [resolve(FOLDER, 'package-lock.json'), resolve(FOLDER, 'node_modules/.package-lock.json')]
  if (!existsSync(done) || statSync(done).mtimeMs < statSync(lock).mtimeMs) {
    // Not npm ci, which refuses a lock that a registry without binaries for other platforms has written.
    execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: FOLDER })
    utimesSync(done, new Date(), new Date())
  }
  return resolve(FOLDER, 'node_modules')
}
