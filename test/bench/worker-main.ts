/** The worker process itself: see worker-process.ts. */
import { loadPeer } from './peers/load.ts'
import { workOf, type RunningWorker } from './peers/peer.ts'
import type { FromWorker, ToWorker, WorkerTask } from './worker-process.ts'

/** How often it tells how far it is. */
const REPORT_MILLISECONDS = 5

const { peer: peer_name, place, queue_names, settings, kind } = JSON.parse(process.argv[2]!) as WorkerTask
const peer = await loadPeer(peer_name)
const tell = (message: FromWorker): void => void process.send!(message)

let count = 0
let first_at = 0
let last_at = 0
let worker: RunningWorker | undefined

/** The same clock in all processes of the machine. */
const now = (): number => Number(process.hrtime.bigint())

function on_job(payload: unknown): void {
  last_at = now()
  first_at ||= last_at
  count++
  const { sent_at } = payload as { sent_at?: number }
  if (sent_at !== undefined) tell({ type: 'latency', milliseconds: (last_at - sent_at) / 1e6 })
}

function on_begin(): void {
  first_at ||= now()
}

let told = 0
setInterval(() => {
  if (count === told) return
  told = count
  tell({ type: 'handled', handled: { count, first_at, last_at } })
}, REPORT_MILLISECONDS)

async function obey(order: ToWorker): Promise<void> {
  if (order === 'start') {
    count = told = first_at = 0
    worker = await workOf(peer, kind).startWorker(place, { queue_names, settings, on_job, on_begin })
    tell({ type: 'started' })
  } else if (order === 'stop') {
    await worker?.stop()
    tell({ type: 'stopped' })
  } else {
    tell({ type: 'peak', rss_bytes: process.resourceUsage().maxRSS * 1024 })
  }
}

process.on('message', (order: ToWorker) => {
  obey(order).catch((error: unknown) => tell({ type: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }))
})
process.on('disconnect', () => process.exit(0))
tell({ type: 'ready' })
