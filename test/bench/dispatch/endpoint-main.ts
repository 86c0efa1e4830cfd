/** The process of the endpoints: see endpoints.ts. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FromEndpoints } from './endpoints.ts'

const tell = (message: FromEndpoints): void => void process.send!(message)
const ANSWER = '{"ok": true}'

/** One port for each endpoint, as if they were on different machines; that of number `hanging` never answers. */
const [count, hanging] = process.argv.slice(2).map(Number) as [number, number]
const ports: number[] = []
for (let n = 0; n < count; n++) {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      if (n === hanging) return tell({ type: 'hanging' })
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': ANSWER.length }).end(ANSWER)
      const { payload } = JSON.parse(Buffer.concat(chunks).toString()) as { payload: { sent_at?: number } }
      // The same clock in all processes of the machine.
      if (payload.sent_at !== undefined) tell({ type: 'latency', milliseconds: (Number(process.hrtime.bigint()) - payload.sent_at) / 1e6 })
    })
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ports.push((server.address() as AddressInfo).port)
}
process.on('disconnect', () => process.exit(0))
tell({ type: 'ready', ports })
