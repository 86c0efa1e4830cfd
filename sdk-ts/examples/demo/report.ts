/** What happened to each job, and the queues in figures. */
import type { JobStatus } from '../../src/index.ts'
import type { FileJob, FileResult } from './files.ts'
import type { DemoQueue } from './queues.ts'
import { printTable } from './screen.ts'
import type { UrlJob, UrlResult } from './web.ts'

type DemoJob = JobStatus<FileJob | UrlJob>

/** Prints a table for each queue, and gives all jobs. */
export async function printJobs(queues: readonly DemoQueue[]): Promise<DemoJob[]> {
  const all: DemoJob[] = []
  for (const queue of queues) {
    const jobs: DemoJob[] = []
    for await (const job of queue.listJobs()) jobs.unshift(job)
    printTable(queue.queue_name, jobs.map(rowOf))
    all.push(...jobs)
  }
  return all
}

function rowOf({ job_id, payload, state, attempts, added_at, picked_at, output, error }: DemoJob): Record<string, string | number> {
  return {
    job: job_id,
    reads: 'url' in payload ? payload.url.replace(/^https?:\/\/[^/]*/, '') : payload.path,
    state,
    attempts: `${attempts.length}${attempts.length > 1 ? `: ${attempts.map(({ outcome }) => outcome).join(', ')}` : ''}`,
    'begun after': picked_at ? `${((picked_at.getTime() - added_at.getTime()) / 1000).toFixed(2)} s` : '',
    result: state === 'complete' ? resultOf(output as FileResult | UrlResult) : (error ?? ''),
  }
}

function resultOf(output: FileResult | UrlResult): string {
  return 'status' in output
    ? `${output.status} ${output.text}`
    : `${output.bytes} bytes, ${output.words} words, SHA-256 ${output.sha256.slice(0, 12)}…`
}

export async function printStats(queues: readonly DemoQueue[]): Promise<void> {
  const stats = await Promise.all(queues.map((queue) => queue.stats()))
  printTable('queue_stats()', stats.map(({ queue_name, ready, scheduled, running, held, dead, finished_last_minute, failed_share_last_minute }) => ({
    queue_name, ready, scheduled, running, held, dead, finished_last_minute, failed_share_last_minute: failed_share_last_minute ?? 0,
  })))
}
