/** The endpoint of workflows: one for all that share a queue. */
import { createJobHandler } from 'pgq'
import { workflows } from './workflows.ts'

export const serveOverHttp = createJobHandler(Object.values(workflows), { signing_secret: process.env.SIGNING_SECRET })
