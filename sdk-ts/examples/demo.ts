/**
 * `make demo`: jobs that do real work, in PGlite (Postgres in this process) or on the server of DATABASE_URL.
 * Each file of the repository, or of the folder INPUT, is a job. Ends with status 1 if a job did not end as expected.
 */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { startWorker } from '../src/index.ts'
import { openDatabase } from './demo/database.ts'
import { listFiles, makeScratchFolder, measureFile } from './demo/files.ts'
import { addBySql, makeQueues } from './demo/queues.ts'
import { printJobs, printStats } from './demo/report.ts'
import { bold, firstLine, green, messageOf, red, say, startProgress } from './demo/screen.ts'
import { fetchUrl, startWebServer } from './demo/web.ts'

const TIME_LIMIT_SECONDS = 50

async function demo(signal: AbortSignal): Promise<void> {
  const folder = resolve(process.env['INPUT'] || resolve(import.meta.dirname, '../..'))
  const { paths, note } = await listFiles(folder)
  await using database = await openDatabase(process.env['DATABASE_URL'])
  await using web = await startWebServer()
  await using scratch = await makeScratchFolder()
  await using queues = await makeQueues(database.db)
  const { files, retried, redriven, delayed, limited } = queues

  say(bold('\nAdding jobs'))
  const flaky = await addBySql(retried, { url: web.flaky_url }, 'calls a server that answers 503 twice')
  const later = await addBySql(delayed, { url: web.hello_url }, 'starts in two seconds', `now() + interval '2 seconds'`)
  await files.addJobs(paths.map((path) => ({ folder, path })))
  say(`  TypeScript  files.addJobs([…])    ${paths.length} jobs: measure the files of ${folder}${note}`)
  const { job_id: late } = await redriven.addJob({ folder: scratch.folder, path: 'late.txt' })
  say(`  TypeScript  redriven.addJob({…})  job ${late}: measures a file that is not there yet; 2 attempts`)
  const slow = await limited.addJobs(web.slow_urls.map((url) => ({ url })))
  say(`  TypeScript  limited.addJobs([…])  ${slow.length} jobs: slow requests; 2 may run at once`)

  say(bold('\nWorking'))
  const worker = startWorker(
    queues.all,
    (payload) => ('url' in payload ? fetchUrl(payload) : measureFile(payload)),
    { concurrency: 8, worker: 'demo-worker', on_error: (error) => say(red(`  ${firstLine(messageOf(error))}`)) },
  )
  const added = paths.length + slow.length + 3
  const progress = startProgress(added, () => worker.stats())
  let died
  try {
    died = await redriven.waitForResult(late, { signal })
    say(`  job ${late} is ${died.state} after ${died.attempts.length} attempts: ${firstLine(died.error)}`)
    await writeFile(resolve(scratch.folder, 'late.txt'), 'Better late than never.\n')
    say(`  now its file is there, and redriveJobs() brought ${await redriven.redriveJobs()} job back`)
    await queues.waitForAll(signal)
  } finally {
    progress.end()
    await worker.stop({ timeout_milliseconds: 1000 })
  }

  const jobs = await printJobs(queues.all)
  await printStats(queues.all)

  const outcomes = (job_id: number) => jobs.find((job) => job.job_id === job_id)?.attempts.map(({ outcome }) => outcome).join(', ')
  const twice = 'failed, failed, complete'
  const expected = [
    ...jobs.map(({ job_id, state, error }) => ({ is_so: state === 'complete', what: `job ${job_id} complete, it is ${state}: ${firstLine(error)}` })),
    { is_so: jobs.length === added, what: `${added} jobs, there are ${jobs.length}` },
    { is_so: outcomes(flaky) === twice, what: `job ${flaky} to fail twice, it was ${outcomes(flaky)}` },
    { is_so: died.state === 'dead' && outcomes(late) === twice, what: `job ${late} to die and be redriven, it was ${outcomes(late)}` },
    ...jobs.map(({ job_id, picked_at, start_after }) => ({ is_so: picked_at! >= start_after!, what: `job ${job_id} not to begin before its time` })),
    { is_so: web.most_slow_at_once <= 2, what: `2 slow requests at once, there were ${web.most_slow_at_once}` },
  ]
  const missed = expected.filter(({ is_so }) => !is_so)
  if (missed.length > 0) throw new Error(`expected ${missed.map(({ what }) => what).join('\n        expected ')}`)
  say(`\n${green('All as expected:')} ${added} jobs are complete; at most ${web.most_slow_at_once} of the limited ones ran at once.`)
}

const gave_up = new AbortController()
setTimeout(() => gave_up.abort(new Error(`not finished within ${TIME_LIMIT_SECONDS} seconds`)), TIME_LIMIT_SECONDS * 1000).unref()
process.once('SIGINT', () => gave_up.abort(new Error('interrupted')))
try {
  await demo(gave_up.signal)
} catch (error) {
  console.error(`\n${red('Failed:')} ${messageOf(error)}`)
  process.exitCode = 1
}
