/** The endpoint of a queue with manual release, without `createJobHandler`. It trusts whoever calls it: put it behind a gateway. */
import { PgQueue, PostgresDb } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)
const queue = new PgQueue<{ to: string }>(db, 'mail')

export async function serveOverHttp(request: Request): Promise<Response> {
  const body: unknown = await request.json()
  if (!queue.ownsJob(body)) return new Response('not a job of this queue', { status: 404 })
  try {
    console.log(`to ${body.payload.to}`) // Do what there is to do.
    await queue.releaseJob(body.job_id, 'complete')
  } catch (error) {
    await queue.releaseJob(body.job_id, 'failed', { error: String(error) })
  }
  return new Response(null, { status: 202 })
}
