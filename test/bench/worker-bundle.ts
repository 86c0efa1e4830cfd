/** The worker process runs plain JavaScript, so that no compiler counts into its memory. */
import { resolve } from 'node:path'
import { build } from 'esbuild'

let built: Promise<string> | undefined

/** Compiled at the first call. Packages stay outside: each process loads only those of its peer. */
export function bundlePath(): Promise<string> {
  return (built ??= bundle())
}

async function bundle(): Promise<string> {
  // Here, so that it finds the packages of this folder and of the SDK.
  const outdir = resolve(import.meta.dirname, 'build')
  await build({
    entryPoints: [resolve(import.meta.dirname, 'worker-main.ts')],
    outdir, bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node20', packages: 'external', outExtension: { '.js': '.mjs' },
  })
  return resolve(outdir, 'worker-main.mjs')
}
