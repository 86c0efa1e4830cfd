/** The bench: see README.md. test/bench/run sets up what it needs and calls this. */
import { writeFileSync } from 'node:fs'
import type { Experiment, Figures } from './experiment.ts'
import { LIMIT_ROWS, measureLimits } from './limits.ts'
import { describeMachine, type Machine } from './machine.ts'
import { readOptions, USAGE, type Options } from './options.ts'
import { loadPeer, PEER_NAMES } from './peers/load.ts'
import type { Peer } from './peers/peer.ts'
import { elapsedSeconds, say } from './progress.ts'
import { startRedis, type RedisServer } from './redis.ts'
import { Results } from './results.ts'
import { EXPERIMENTS } from './rows/index.ts'
import { startServer, type Server } from './server.ts'
import { sizes as sizesFor, type Sizes } from './sizes.ts'
import { asMarkdown, asText, figure, limitCells, resultCells } from './table.ts'

const DEFAULT_REPEAT = 3
/** Who does repetitive experiments in a quick run. */
const REPEATERS = ['pgq', 'graphile-worker']

interface Bench {
  readonly options: Options
  readonly sizes: Sizes
  readonly server: Server
  readonly redis: RedisServer | undefined
  readonly peers: readonly Peer[]
  readonly experiments: readonly Experiment[]
  readonly results: Results
}

/** Repeats all peers in turn, beginning with another one each time. (All at once where figures mean nothing.) */
async function runExperiment(bench: Bench, experiment: Experiment): Promise<void> {
  const peers = bench.peers.filter((peer) => experiment.takes(peer) && !(bench.options.quick && experiment.is_repetitive && !REPEATERS.includes(peer.name)))
  const repeat = bench.options.repeat ?? (experiment.is_long ? 1 : DEFAULT_REPEAT)
  for (let turn = 0; turn < repeat; turn++) {
    const inTurn = peers.map((_, place) => peers[(turn + place) % peers.length]!)
    const measure = async (peer: Peer): Promise<void> => {
      const title = `${experiment.title}${repeat > 1 ? ` ${turn + 1}/${repeat}` : ''}: ${peer.title}`
      try {
        const figures = await runOnce(bench, experiment, peer)
        say(`${title}: ${told(bench, experiment, figures)}`)
        for (const [row, value] of Object.entries(figures)) if (value !== undefined) bench.results.add(row, peer.name, value)
      } catch (error) {
        const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
        bench.results.failures.push(`${title}: ${message}`)
        say(`${title}: FAILED: ${message}`)
      }
    }
    if (bench.options.quick) await Promise.all(inTurn.map(measure))
    else for (const peer of inTurn) await measure(peer)
  }
}

async function runOnce({ server, redis, sizes }: Bench, experiment: Experiment, peer: Peer): Promise<Figures> {
  await using database = await server.database(peer)
  if (peer.stores_in === 'redis') await redis?.empty()
  return await experiment.measure({ peer, place: { database_url: database.url, redis_url: redis?.url }, server, sizes })
}

function told({ sizes }: Bench, experiment: Experiment, figures: Figures): string {
  return experiment.rows(sizes).filter(({ id }) => figures[id] !== undefined).map(({ id, unit }) => `${figure(figures[id])} ${unit}`).join(', ')
}

function pick<T extends { readonly name: string }>(all: readonly T[], names: readonly string[], option: string): readonly T[] {
  const unknown = names.filter((name) => !all.some((one) => one.name === name))
  if (unknown.length > 0) throw new Error(`Expected \`${option}\` to be among ${all.map((one) => one.name).join(', ')}, got ${unknown.join(', ')}`)
  return names.length === 0 ? all : all.filter((one) => names.includes(one.name))
}

function write({ options, sizes, peers, experiments, results }: Bench, machine: Machine): void {
  const rows = experiments.flatMap((experiment) => experiment.rows(sizes))
  const tables = [limitCells(results), resultCells(results, rows, peers)]
  console.log(`\n${tables.map(asText).join('\n\n')}\n`)
  if (options.markdown !== undefined) {
    const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`).join(', ')
    const about = `${new Date().toISOString().slice(0, 10)}. ${machine.hardware}. ${machine.software}; ${versions}. Server: ${machine.server_settings}.`
    writeFileSync(options.markdown, `${[about, ...tables.map(asMarkdown)].join('\n\n')}\n`)
  }
  if (options.json !== undefined) {
    const figures = Object.fromEntries([...results.all].map(([row, by_peer]) => [row, Object.fromEntries(by_peer)]))
    writeFileSync(options.json, `${JSON.stringify({
      at: new Date().toISOString(), seconds: Math.round(elapsedSeconds()), quick: options.quick, machine, rows: [...LIMIT_ROWS, ...rows], figures,
      failures: results.failures,
    }, undefined, 2)}\n`)
  }
}

async function bench(options: Options): Promise<number> {
  const sizes = sizesFor(options)
  const experiments = pick(EXPERIMENTS, options.rows, '--rows')
  const all = await Promise.all(PEER_NAMES.map(loadPeer))
  const asked = pick(all, options.peers.length === 0 ? [] : ['pgq', ...options.peers], '--peers')

  await using server = await startServer(options)
  await using redis = await startRedis()
  const peers = asked.filter((peer) => peer.stores_in === 'postgres' || redis !== undefined)
  const machine = await describeMachine(server, redis, peers)
  say(machine.hardware)
  say(machine.software)
  say(`server: ${machine.server_settings}`)
  for (const peer of peers) say(`${peer.title} ${machine.versions[peer.npm_package]}: ${peer.about}`)
  if (options.quick) say('quick: sizes are tiny, the figures mean nothing')

  const run: Bench = { options, sizes, server, redis, peers, experiments, results: new Results() }
  say("the machine's own limits")
  await measureLimits(server, sizes, run.results)
  for (const experiment of experiments) await runExperiment(run, experiment)
  write(run, machine)
  for (const failure of run.results.failures) console.log(`FAILED: ${failure}`)
  return run.results.failures.length === 0 ? 0 : 1
}

// Some peers call what their driver will not have for ever.
process.noDeprecation = true
// So that the servers are stopped, which happens at exit.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))

const options = readOptions(process.argv.slice(2))
if (options === 'help') console.log(USAGE)
else if (options === 'list') console.log(`rows:  ${EXPERIMENTS.map(({ name }) => name).join(' ')}\npeers: ${PEER_NAMES.join(' ')}`)
else process.exit(await bench(options))
