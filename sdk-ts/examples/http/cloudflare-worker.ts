/** A Cloudflare Worker: src/index.ts. Set the secret by `wrangler secret put SIGNING_SECRET`. */
import { createJobHandler, z } from 'pgq'

interface Env {
  readonly SIGNING_SECRET: string
}

const mail = { queue_name: 'mail', payload_schema: z.object({ to: z.string() }) }

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const handle = createJobHandler(mail, async ({ to }) => ({ sent: to }), { signing_secret: env.SIGNING_SECRET })
    return handle(request)
  },
}
