/** Keeps a LISTEN alive through lost connections, shared by all who listen to the same channel. Mirrors no SQL file. */
import { backoff, sleep } from './backoff.ts'
import type { ListenCallbacks, Unlisten } from './queryable.ts'

/** One connection that listens. */
export interface ListenSession {
  /** Resolves with the reason when the connection is gone. */
  readonly closed: Promise<unknown>
  close(): Promise<void>
}

/** Opens a connection of its own and listens on it. */
export type OpenListenSession = (channel: string, on_notify: (payload: string) => void) => Promise<ListenSession>

/** All channels of one database. */
export interface Listening {
  listen(channel: string, on_notify: (payload: string) => void, callbacks?: ListenCallbacks): Promise<Unlisten>
  /** Ends all. */
  close(): Promise<void>
}

/** Reconnects after this long at first, then twice as long each time, up to the cap. */
const FIRST_PAUSE_MILLISECONDS = 100
const LONGEST_PAUSE_MILLISECONDS = 10_000

interface Subscriber extends ListenCallbacks {
  readonly on_notify: (payload: string) => void
}

interface Channel {
  readonly subscribers: Set<Subscriber>
  /** Resolves after the first attempt. */
  readonly first_attempt: Promise<void>
  close(): Promise<void>
}

export function createListening(open: OpenListenSession): Listening {
  const channels = new Map<string, Channel>()

  return {
    async listen(name, on_notify, callbacks = {}) {
      const channel = channels.get(name) ?? keepListening(open, name)
      channels.set(name, channel)
      const subscriber: Subscriber = { ...callbacks, on_notify }
      channel.subscribers.add(subscriber)
      await channel.first_attempt
      return async () => {
        if (!channel.subscribers.delete(subscriber) || channel.subscribers.size > 0) return
        if (channels.get(name) === channel) channels.delete(name)
        await channel.close()
      }
    },
    async close() {
      const all = [...channels.values()]
      channels.clear()
      await Promise.all(all.map((channel) => channel.close()))
    },
  }
}

function keepListening(open: OpenListenSession, name: string): Channel {
  const subscribers = new Set<Subscriber>()
  const closing = new AbortController()
  let session: ListenSession | undefined
  let tell_first: () => void = () => {}
  const first_attempt = new Promise<void>((resolve) => (tell_first = resolve))
  const running = run()

  async function run(): Promise<void> {
    let failures = 0
    for (let is_first = true; !closing.signal.aborted; is_first = false) {
      try {
        session = await open(name, (payload) => subscribers.forEach((subscriber) => subscriber.on_notify(payload)))
        failures = 0
        if (closing.signal.aborted) break
        if (!is_first) subscribers.forEach((subscriber) => subscriber.on_reconnect?.())
        tell_first()
        const reason = await session.closed
        session = undefined
        if (!closing.signal.aborted) tellError(reason)
      } catch (error) {
        tellError(error)
      }
      tell_first()
      await sleep(backoff(failures++, FIRST_PAUSE_MILLISECONDS, LONGEST_PAUSE_MILLISECONDS), closing.signal)
    }
    tell_first()
    await session?.close()
  }

  function tellError(error: unknown): void {
    subscribers.forEach((subscriber) => subscriber.on_error?.(error))
  }

  return {
    subscribers,
    first_attempt,
    async close() {
      closing.abort()
      await session?.close()
      await running
    },
  }
}
