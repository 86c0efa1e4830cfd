/** How long the compiler takes for a program with a workflow whose steps know the outputs of all before. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Experiment } from '../experiment.ts'

const SDK = resolve(import.meta.dirname, '../../../sdk-ts')

export const types: Experiment = {
  name: 'types',
  title: 'type-checking',
  rows: ({ steps }) => steps.map((count) => (
    { id: `types-${count}`, title: `tsc --noEmit, a workflow of ${count === 1 ? 'one step' : `${count} steps`}`, unit: 's', better: 'less' }
  )),
  takes: (peer) => peer.name === 'pgq',
  async measure({ sizes }) {
    return Object.fromEntries(sizes.steps.map((count) => [`types-${count}`, secondsToCheck(count)]))
  },
}

/** Each step uses the outputs of the first and of the one before. */
function programOf(count: number): string {
  const steps = Array.from({ length: count }, (_, n) => `
  .step({
    id: 'step_${n}',
    handler: async ({ name }, _job_id, { outputs }) => ({
      n: ${n}, name, at: new Date(), first: ${n === 0 ? "''" : 'outputs.step_0.name'}, sum: ${n === 0 ? '0' : `outputs.step_${n - 1}.n + ${n}`},
    }),
  })`)
  return `import { MultiStepPgQueue, PostgresDb, startWorker, steps } from 'pgq'
import * as z from 'zod'

const list = steps(z.object({ name: z.string() }))${steps.join('')}
const workflow = new MultiStepPgQueue(new PostgresDb('postgres://localhost'), 'queue', 'workflow', list)
export const worker = startWorker(workflow)
export const added = workflow.addJob({ name: 'Bob' })
`
}

/** In a folder of its own, under this one so that its packages are found. */
function secondsToCheck(count: number): number {
  const folder = resolve(import.meta.dirname, `../build/types-${count}`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(resolve(folder, 'workflow.ts'), programOf(count))
  writeFileSync(resolve(folder, 'tsconfig.json'), JSON.stringify({
    extends: resolve(SDK, 'tsconfig.json'),
    compilerOptions: {
      types: ['node'], typeRoots: [resolve(SDK, 'node_modules/@types')],
      paths: { pgq: [resolve(SDK, 'src/index.ts')], zod: [resolve(SDK, 'node_modules/zod')] },
    },
    include: ['workflow.ts'],
    exclude: [],
  }))
  const began = performance.now()
  const { status, stdout, error } = spawnSync(resolve(SDK, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the program is refused: ${error?.message ?? stdout}`)
  return (performance.now() - began) / 1000
}
