/** The endpoint of workflows with manual release, without `createJobHandler`. It trusts whoever calls it: put it behind a gateway. */
import { workflows } from './workflows.ts'

export async function serveOverHttp(request: Request): Promise<Response> {
  const body: unknown = await request.json()
  for (const workflow of Object.values(workflows)) {
    if (!workflow.ownsJob(body)) continue
    const answer = await workflow.processJob(body) // runs the step, and releases it
    if (answer.status === 'error') console.error(answer.error.message)
    return new Response(null, { status: 202 })
  }
  return new Response('no run of these workflows', { status: 404 })
}
