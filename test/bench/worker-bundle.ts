/** The processes of the bench run plain JavaScript, so that no compiler counts into their memory. */
import { resolve } from 'node:path'
import { build } from 'esbuild'

const ENTRIES = ['worker-main', 'dispatch/node-main', 'dispatch/endpoint-main'] as const

let built: Promise<string> | undefined

/** Compiled at the first call. Packages stay outside: each process loads only those of its peer. */
export async function bundlePath(entry: (typeof ENTRIES)[number] = 'worker-main'): Promise<string> {
  return resolve(await (built ??= bundle()), `${entry}.mjs`)
}

async function bundle(): Promise<string> {
  // Here, so that it finds the packages of this folder and of the SDK.
  const outdir = resolve(import.meta.dirname, 'build')
  await build({
    entryPoints: ENTRIES.map((entry) => resolve(import.meta.dirname, `${entry}.ts`)),
    outdir, outbase: import.meta.dirname, bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node20', packages: 'external', outExtension: { '.js': '.mjs' },
  })
  return outdir
}
