/**
 * One hosted server: takes the HTTP requests for it, lets the ladder say which era they speak, and hands them to that side.
 * Owns the server's children through the pool. Knows nothing of other servers.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { transportOf } from '../../config/transport.ts'
import { climb, headerOf, isFault } from '../mcp/ladder.ts'
import { MODERN_VERSION, MODERN_VERSIONS, RPC } from '../mcp/versions.ts'
import type { Channel } from './channel.ts'
import { Exchange } from './exchange.ts'
import { Legacy } from './legacy.ts'
import type { Undeliverable } from './legacy-child.ts'
import type { Log } from './log.ts'
import { Modern } from './modern.ts'
import { channelOpener } from './open-channel.ts'
import type { HostedServer } from './options.ts'
import { Pool } from './pool.ts'
import { errorText, Refusal } from './refusal.ts'
import type { OpenStreams } from './sse-stream.ts'
import { namesOf, type Wire } from './wire.ts'

/** What both sides of a server share. */
export type ServerParts = {
  readonly name: string
  config: HostedServer
  readonly pool: Pool
  readonly log: Log
  readonly streams: OpenStreams
  readonly undeliverable: Undeliverable
  readonly counters: { answers_unmatched: number; notifications_ignored: number }
  /** True once the server was changed or removed: no new work, only what is open. */
  isRetired: boolean
  /** Opens a line to the server; its messages go to the wire, which exists by then. */
  readonly open: (wire: () => Wire) => Channel
}

/** What a server shows of itself. */
export type ServerMetrics = {
  /** A streamable HTTP server: workers speak with it themselves, the host only where eras differ. */
  isBridgeOnly: boolean
  /** Calls that wait for a user's answer. */
  calls_parked: number
  processes: { starting: number; busy: number; idle: number; ending: number }
  processes_max: number
  /** Why it cannot be used now, '' otherwise. */
  failing: string
  sessions: number
  calls_open: number
  started: number
  restarts: number
  crashes: number
  spawn_failures: number
  undeliverable: Undeliverable
  answers_unmatched: number
  notifications_ignored: number
}

export class Server {
  readonly name: string
  readonly legacy: Legacy
  readonly #modern: Modern
  readonly #parts: ServerParts

  /** Throws when the command cannot be read. */
  constructor(
    name: string,
    config: HostedServer,
    env: Readonly<Record<string, string | undefined>>,
    log: Log,
    streams: OpenStreams,
  ) {
    this.name = name
    const open = channelOpener(name, config, env, log)
    this.#parts = {
      name,
      config,
      pool: new Pool(config),
      log,
      streams,
      undeliverable: { requests: 0, notifications: 0 },
      counters: { answers_unmatched: 0, notifications_ignored: 0 },
      isRetired: false,
      open: (wire) =>
        open({
          line: (text, about) => wire().line(text, about),
          overflow: (head, tail, bytes) => wire().overflow(head, tail, bytes),
        }),
    }
    this.legacy = new Legacy(this.#parts, (principal) => this.#modern.childFor(principal))
    this.#modern = new Modern(this.#parts, this.legacy)
  }

  get config(): HostedServer {
    return this.#parts.config
  }

  /** Takes over settings that need no new children. */
  adjust(config: HostedServer): void {
    this.#parts.config = config
    this.#parts.pool.config = config
  }

  /** A POST whose body was read. Answers through the exchange, whatever happens. */
  async post(
    httpRequest: IncomingMessage,
    res: ServerResponse,
    principal: string,
    text: string,
  ): Promise<void> {
    const exchange = new Exchange(res, this.#parts.streams)
    const { body, is_json } = parse(text)
    const verdict = climb({
      http_method: 'POST',
      headers: httpRequest.headers,
      body,
      is_json,
      supported: MODERN_VERSIONS,
    })
    if (isFault(verdict)) {
      const id = verdict.id === null ? 'null' : namesOf(text).id
      exchange.settle(errorText(id, verdict.code, verdict.message, verdict.data), verdict.http_status)
      return
    }
    const posted = { exchange, text, body, principal, httpRequest }
    try {
      if (verdict.era === 'legacy') await this.legacy.post(posted, verdict)
      else await this.#modern.post(posted, verdict)
    } catch (error) {
      this.#failed(error)
      exchange.refuse(error, Array.isArray(body) ? 'null' : namesOf(text).id)
    }
  }

  /** Opens the standalone stream of a session. Throws a Refusal. */
  get(httpRequest: IncomingMessage, res: ServerResponse, principal: string): void {
    this.#checkLegacy(httpRequest)
    this.legacy.get(httpRequest, res, principal)
  }

  /** Ends a session. Throws a Refusal. */
  delete(httpRequest: IncomingMessage, principal: string): void {
    this.#checkLegacy(httpRequest)
    this.legacy.delete(httpRequest, principal)
  }

  sweep(now_ms: number): void {
    this.legacy.sweep(now_ms)
    this.#parts.pool.sweep(now_ms)
  }

  /** Its children by process group, where their memory is bounded. */
  get watched(): Iterable<[number, Channel]> {
    return this.config.memory_max_bytes === undefined ? [] : this.#parts.pool.groups()
  }

  /** Takes no new work; resolves when every call was answered, or `wait_ms` passed, and every child has ended. */
  async retire(wait_ms: number): Promise<void> {
    this.#parts.isRetired = true
    this.legacy.endStreams()
    this.#modern.endStreams()
    await this.#parts.pool.end(wait_ms)
  }

  metrics(): ServerMetrics {
    const processes = { starting: 0, busy: 0, idle: 0, ending: 0 }
    let calls_open = 0
    for (const resident of this.#parts.pool.residents) {
      calls_open += resident.callsOpen()
      if (resident.child.isEnding) processes.ending++
      else if (resident.isStarting()) processes.starting++
      else if (resident.isBusy()) processes.busy++
      else processes.idle++
    }
    const { started, restarts, crashes, spawn_failures } = this.#parts.pool.counters
    return {
      isBridgeOnly: transportOf(this.config) === 'http',
      calls_parked: this.#modern.bridge.callsParked,
      processes,
      processes_max: this.config.processes_max,
      failing: this.#parts.pool.failing(),
      sessions: this.legacy.sessions.size,
      calls_open,
      started,
      restarts,
      crashes,
      spawn_failures,
      undeliverable: { ...this.#parts.undeliverable },
      ...this.#parts.counters,
    }
  }

  /** GET and DELETE exist in legacy revisions only. */
  #checkLegacy(httpRequest: IncomingMessage): void {
    const version = headerOf(httpRequest.headers, 'mcp-protocol-version')
    if (this.config.era !== 'modern' && (version === undefined || version < MODERN_VERSION)) return
    throw new Refusal(
      405,
      'method_not_allowed',
      'this revision has POST only',
      { allow: 'POST' },
      RPC.invalidRequest,
    )
  }

  #failed(error: unknown): void {
    if (error instanceof Refusal) return
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#parts.log.line('error', 'the host failed', { server: this.name, why })
  }
}

function parse(text: string): { body: unknown; is_json: boolean } {
  try {
    return { body: JSON.parse(text), is_json: true }
  } catch {
    return { body: undefined, is_json: false }
  }
}
