/** A loop of your own around `processNextJob`, one step at a time. `startWorker` does more: it is woken, runs many at once and works in batches. */
import { setTimeout as sleep } from 'node:timers/promises'
import { db, workflows } from './workflows.ts'

let is_stopping = false
process.once('SIGTERM', () => (is_stopping = true))

while (!is_stopping) {
  const answer = await workflows.signup.processNextJob()
  if (answer.status === 'error') console.error(answer.error.message)
  else if (!answer.had_job) await sleep(200)
}
await db.end()
