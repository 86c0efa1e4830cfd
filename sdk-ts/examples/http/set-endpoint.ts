/** Says where the jobs of a queue are sent. Run it when you deploy. */
import { PgQueueConfig, PostgresDb } from 'pgq'

const db = new PostgresDb(process.env.DATABASE_URL!)

const config = new PgQueueConfig(db, 'mail')
await config.setEndpoint(true, {
  endpoint_url: process.env.ENDPOINT_URL ?? 'https://example.org/api/jobs',
  endpoint_timeout_milliseconds: 30_000,
  endpoint_max_in_flight: 20,
})

// The secret that signs each request: give it to the handler. Without an argument one is made.
const signing_secret = await config.rotateSigningSecret(process.env.SIGNING_SECRET)
console.log(signing_secret.length)

// ---- How it does

const { in_flight, in_flight_limit, breaker, held_until } = (await config.endpointStatus())!
console.log({ in_flight, in_flight_limit, breaker, held_until })

// ---- The end

await db.end()
