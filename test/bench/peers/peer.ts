/** What the bench needs of a queue, so that all do the same work. */
/** Where a run takes place: a fresh database, an empty Redis. */
export interface Place {
  readonly database_url: string
  readonly redis_url?: string | undefined
}

/** The queue of every row but the one with many. */
export const QUEUE = 'bench'

export interface Peer {
  /** For `--peers` and JSON. */
  readonly name: string
  /** Head of its column. */
  readonly title: string
  /** Which API and settings it runs with, as its documents recommend: printed, and told in README.md. */
  readonly about: string
  readonly stores_in: 'postgres' | 'redis'
  /** npm package, for its version. */
  readonly npm_package: string
  /** Schema of its tables. */
  readonly schema?: string
  /** Does a tenth to a hundredth of the others' rate: gets this share of the jobs of a row. @default 1 */
  readonly share?: number
  /** Makes its tables; once, in the database that all its runs are copied from. */
  install?(place: Place): Promise<void>
  /** Its API for adding jobs, with a pool of this size. */
  openProducer(place: Place, connections: number): Promise<Producer>
  /** Its worker, as a user would start it. Called in a process of its own. */
  startWorker(place: Place, options: WorkerOptions): Promise<RunningWorker>
  /** The same for workflows of three steps that do nothing, each recorded before the next. */
  readonly runs?: Work
  /** The same for workflows that start as many children as `children` of their payload says, and wait for their results. */
  readonly fan_outs?: Work
  /** Its SQL. */
  readonly sql?: PeerSql
  /** Raw calls on one connection of its own, as many jobs a call as asked for. */
  openSession?(database_url: string): Promise<Session>
  /** Have its sessions `releaseAndPick`? */
  readonly has_one_call?: boolean
  /** Statements for pgbench that pick one job and complete it. */
  pickScripts?(database_url: string): Promise<PickScripts>
}

export type Work = Pick<Peer, 'openProducer' | 'startWorker'>

/** Plain jobs, or what else a peer has. */
export type WorkKind = 'jobs' | 'runs' | 'fan_outs'

export function workOf(peer: Peer, kind: WorkKind): Work {
  return kind === 'jobs' ? peer : peer[kind]!
}

export interface Producer {
  add(payload: object): Promise<unknown>
  /** All at once, by its bulk API if it has one. */
  addMany(payloads: readonly object[], queue_name?: string): Promise<unknown>
  /** Is no job waiting or running any more? */
  isDrained(): Promise<boolean>
  end(): Promise<void>
}

export interface WorkerOptions {
  readonly queue_names: readonly string[]
  /** `default` changes no setting that its documents do not make you change; `best` is what they recommend for throughput. */
  readonly settings: 'default' | 'best'
  /** Called by each job; of a run by the last step. */
  readonly on_job: (payload: unknown) => void
  /** Called by the first step of each run. */
  readonly on_begin: () => void
}

export interface RunningWorker {
  stop(): Promise<void>
}

export interface PeerSql {
  /** Adds one job; for pgbench. */
  readonly add: string
  /** Adds jobs 1 to `count` in one statement, `group` as their group (or what it has for that) if given. */
  fill(count: number, group?: string): string
}

export interface PickScripts {
  readonly two_calls: string
  readonly one_call?: string
}

/** Jobs that a session has picked. */
export type Held = readonly { readonly [column: string]: unknown }[]

export interface Session {
  add(payloads: readonly object[], group?: string): Promise<unknown>
  pick(max_jobs: number): Promise<Held>
  release(held: Held): Promise<unknown>
  releaseAndPick?(held: Held, max_jobs: number): Promise<Held>
  end(): Promise<void>
}
