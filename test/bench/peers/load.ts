/** One peer by its name, without loading the others. */
import type { Peer } from './peer.ts'

export async function loadPeer(name: string): Promise<Peer> {
  switch (name) {
    case 'pgq': return (await import('./pgq.ts')).pgq('all')
    case 'pgq-no-history': return (await import('./pgq.ts')).pgq('none')
    case 'graphile-worker': return (await import('./graphile-worker.ts')).graphile_worker
    case 'pg-boss': return (await import('./pg-boss.ts')).pg_boss
    case 'dbos': return (await import('./dbos.ts')).dbos
    case 'bullmq-postgres': return (await import('./bullmq.ts')).bullmq('postgres')
    case 'bullmq-redis': return (await import('./bullmq.ts')).bullmq('redis')
    default: throw new Error(`Expected a peer to be one of ${PEER_NAMES.join(', ')}, got ${name}`)
  }
}

/** In the order of the table. */
export const PEER_NAMES = ['pgq', 'pgq-no-history', 'graphile-worker', 'pg-boss', 'dbos', 'bullmq-postgres', 'bullmq-redis'] as const
