/** A dispatcher in a serverless function that is called on a schedule, e.g. each minute. */
import { Dispatcher, PostgresDb } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)

export async function serveOverHttp(_request: Request): Promise<Response> {
  // Works for so many seconds: less than the time between two calls, and than the function may run.
  const dispatcher = new Dispatcher(db, Number(process.env.EXIT_AFTER_SECONDS ?? 30))
  await dispatcher.done
  return Response.json(dispatcher.stats())
}
