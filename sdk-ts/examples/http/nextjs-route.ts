/** A route of Next.js: app/api/jobs/route.ts. */
import { createJobHandler, z } from 'pgq'

const mail = { queue_name: 'mail', payload_schema: z.object({ to: z.string() }) }

export const maxDuration = 60

// It answers with the result, so it needs no database.
export const POST = createJobHandler(mail, async ({ to }) => ({ sent: to }), { signing_secret: process.env.SIGNING_SECRET })
