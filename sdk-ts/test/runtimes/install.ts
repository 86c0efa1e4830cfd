/** Installs Deno and Bun from npm, the first time. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const FOLDER = import.meta.dirname
const DONE = resolve(FOLDER, 'node_modules/.installed')
/** Holds the id of the process that installs: several test files ask at once. */
const LOCK = resolve(FOLDER, 'node_modules.lock')

/** Paths of the programs. */
export async function installRuntimes(): Promise<{ readonly deno: string; readonly bun: string }> {
  while (!existsSync(DONE)) {
    if (!takeLock()) {
      await sleep(100)
      continue
    }
    try {
      install()
    } finally {
      rmSync(LOCK)
    }
  }
  return { deno: pathOf('deno'), bun: pathOf('bun') }
}

const pathOf = (name: string): string => resolve(FOLDER, 'node_modules/.bin', name)

function install(): void {
  const run = (program: string, args: readonly string[]): void => {
    execFileSync(program, args, { cwd: FOLDER, stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
  }
  run('npm', ['install', '--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund'])
  // Their install scripts put the programs in their places. npm may be set to hold such scripts back, so they are called here.
  run(process.execPath, ['node_modules/deno/install.cjs'])
  run(process.execPath, ['node_modules/bun/install.js'])
  for (const name of ['deno', 'bun']) run(pathOf(name), ['--version'])
  writeFileSync(DONE, '')
}

function takeLock(): boolean {
  try {
    writeFileSync(LOCK, `${process.pid}`, { flag: 'wx' })
    return true
  } catch {
    // One whose process has ended is nobody's.
    if (existsSync(LOCK) && !isAlive(Number(readFileSync(LOCK, 'utf8')))) rmSync(LOCK, { force: true })
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    return pid === 0 || process.kill(pid, 0)
  } catch {
    return false
  }
}
