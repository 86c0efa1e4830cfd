/** The jobs that a worker has picked and not begun, first come first served. Mirrors no SQL file. */
import type { HeldJob } from './worker-job.ts'

export interface Line {
  readonly length: number
  push(job: HeldJob): void
  shift(): HeldJob | undefined
  /** Takes out all. */
  takeAll(): HeldJob[]
  /** Takes out one, if it is there. */
  remove(job: HeldJob): void
}

/** A queue over an array with a moving head: an array's own `shift` moves all others. */
export function createLine(): Line {
  let jobs: HeldJob[] = []
  let head = 0

  return {
    get length() {
      return jobs.length - head
    },
    push(job) {
      jobs.push(job)
    },
    shift() {
      const job = jobs[head]
      if (job === undefined) return undefined
      head++
      if (head === jobs.length) {
        jobs = []
        head = 0
      }
      return job
    },
    takeAll() {
      const all = jobs.slice(head)
      jobs = []
      head = 0
      return all
    },
    remove(job) {
      const index = jobs.indexOf(job, head)
      if (index !== -1) jobs.splice(index, 1)
    },
  }
}
