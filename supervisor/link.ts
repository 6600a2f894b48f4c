/**
 * The line between the supervisor and the processes it starts (workers, host, collector, store).
 * Options travel as the first message, never by argv or environment: neither may hold a secret.
 * Knows nothing of what a child does. Invariant: a child whose line breaks ends by itself, soon.
 */

export type ToChild =
  | { type: 'start'; options: unknown }
  | { type: 'reload'; id: number; options: unknown }
  | { type: 'ping'; id: number }
  | { type: 'ask'; id: number; question: string; argument?: unknown }
  | { type: 'drain' }

export type FromChild =
  | { type: 'ready'; address: string }
  | { type: 'failed'; error: string }
  | { type: 'reloaded'; id: number; error?: string }
  | { type: 'pong'; id: number }
  | { type: 'answer'; id: number; answer?: unknown; error?: string }
  | { type: 'ask'; id: number; question: string; argument?: unknown }
  | { type: 'tell'; topic: string; argument?: unknown }

/** What a child process does; the link calls each at the right time. */
export type Child<Options> = {
  /** Opens what the child serves. Resolves with the addresses it listens on, spaces between. Throws: the child ends. */
  start(options: Options): Promise<string>
  /** Finishes work in flight and closes. The process ends when it resolves. */
  drain(): Promise<void>
  /** Swaps in new options whole, or throws and keeps the old ones. */
  reload?(options: Options): Promise<void>
  /** Whether the child can still do its work (heartbeat). Rejecting or hanging counts as a missed beat. */
  beat?(): Promise<void>
  /** Answers a question of the supervisor, for example its metrics snapshot. */
  answer?(question: string, argument: unknown): unknown
}

/** How long a child may go on without its supervisor. */
const ORPHAN_MAX_MS = 1_000

const waiting = new Map<number, { resolve: (v: unknown) => void; reject: (e: Error) => void }>()
let nextAsk = 1

const send = (message: FromChild): void => {
  if (process.connected) process.send?.(message, undefined, {}, () => {})
}

/** Tells the supervisor that something happened; nobody answers. */
export const tellSupervisor = (topic: string, argument?: unknown): void =>
  send({ type: 'tell', topic, argument })

/** Asks the supervisor something (for example the metrics of all workers). Rejects after `timeout_ms`, or at once when nobody supervises. */
export function askSupervisor(question: string, argument?: unknown, timeout_ms = 2000): Promise<unknown> {
  if (!process.connected) return Promise.reject(new Error('no supervisor'))
  const id = nextAsk++
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting.delete(id)
      reject(new Error(`the supervisor did not answer "${question}" within ${timeout_ms} ms`))
    }, timeout_ms)
    waiting.set(id, {
      resolve: (v) => {
        clearTimeout(timer)
        resolve(v)
      },
      reject: (e) => {
        clearTimeout(timer)
        reject(e)
      },
    })
    send({ type: 'ask', id, question, argument })
  })
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Runs `child` under a supervisor that speaks this protocol over the IPC channel of `child_process.fork`. */
export function serveChild<Options>(child: Child<Options>): void {
  let draining = false
  const drain = async (code: number): Promise<void> => {
    if (draining) return
    draining = true
    try {
      await child.drain()
    } catch (error) {
      process.stderr.write(`drain failed: ${reason(error)}\n`)
      code = 1
    }
    process.exit(code)
  }
  // The terminal's Ctrl-C reaches the whole group; the supervisor decides the order of draining.
  process.on('SIGINT', () => {})
  // Reload is the supervisor's business, and a closed terminal too.
  process.on('SIGHUP', () => {})
  process.on('SIGTERM', () => void drain(0))
  // The supervisor is gone: another one may start on the same folder at once, so there is no time to finish. (Workers of
  // node:cluster end by themselves here.)
  process.on('disconnect', () => {
    setTimeout(() => process.exit(1), ORPHAN_MAX_MS)
    void drain(0)
  })
  process.on('message', (message: ToChild) => {
    switch (message.type) {
      case 'start':
        child.start(message.options as Options).then(
          (address) => send({ type: 'ready', address }),
          (error) => {
            send({ type: 'failed', error: reason(error) })
            setTimeout(() => process.exit(1), 50)
          },
        )
        break
      case 'reload':
        Promise.resolve(child.reload?.(message.options as Options)).then(
          () => send({ type: 'reloaded', id: message.id }),
          (error) => send({ type: 'reloaded', id: message.id, error: reason(error) }),
        )
        break
      case 'ping':
        Promise.resolve(child.beat?.()).then(
          () => send({ type: 'pong', id: message.id }),
          () => {},
        )
        break
      case 'ask':
        Promise.resolve()
          .then(() => child.answer?.(message.question, message.argument))
          .then(
            (answer) => send({ type: 'answer', id: message.id, answer }),
            (error) => send({ type: 'answer', id: message.id, error: reason(error) }),
          )
        break
      case 'drain':
        void drain(0)
        break
    }
  })
  process.on('message', (message: { type: string; id: number; answer?: unknown; error?: string }) => {
    if (message.type !== 'answer') return
    const pending = waiting.get(message.id)
    if (!pending) return
    waiting.delete(message.id)
    if (message.error) pending.reject(new Error(message.error))
    else pending.resolve(message.answer)
  })
}
