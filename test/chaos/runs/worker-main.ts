/** A worker of the story's queues in a process that may be killed at any time. */
import { PostgresDb, startWorker } from '../../../sdk-ts/src/index.ts'
import { chanceOf } from '../../support/random.ts'
import { storyQueues } from './story.ts'

/** Few, because each new connection has all functions to compile, and is soon gone. */
const CONNECTIONS = 6
const CONCURRENCY = 4
/** If it finds nothing to do. */
const READY_AFTER_MILLISECONDS = 1000

const [url, seed] = process.argv.slice(2) as [string, string]
const { hostname, port, username, pathname } = new URL(url)
const db = new PostgresDb({ host: hostname, port: Number(port), user: username, database: pathname.slice(1), max: CONNECTIONS })
let is_ready = false
const { stories, sub_runs, parts, handlePart } = storyQueues(db, chanceOf(Number(seed)), tellReady)
const on_error = (error: unknown): void => console.error('a worker:', error)
const worker = startWorker([parts, stories, sub_runs], handlePart, { concurrency: CONCURRENCY, poll_interval_milliseconds: 200, on_error })
process.once('disconnect', () => worker.stop().then(() => db.end()))
setTimeout(tellReady, READY_AFTER_MILLISECONDS)

/** When the first handler begins. */
function tellReady(): void {
  if (!is_ready && process.connected) process.send!('ready')
  is_ready = true
}
