/**
 * A modern child: stateless, so calls of unrelated clients interleave on it and every message names its call, but for logs.
 * A log message goes to the only open call that asked for logs; with several it is dropped and counted, for it could be
 * anyone's. A client that closes its stream cancels its call. Source: MCP 2026-07-28, basic/transports and cancellation.
 */
import { locate, replaceValue } from '../mcp/splice.ts'
import { META, RPC } from '../mcp/versions.ts'
import { isLogWanted } from './attribution.ts'
import type { Channel } from './channel.ts'
import type { Recipient } from './exchange.ts'
import type { Undeliverable } from './legacy-child.ts'
import type { Log } from './log.ts'
import { ENVELOPE, ToolSchemas } from './tool-schemas.ts'
import { namesOf, type OpenCall, type RpcMessage, Wire, type WireEvents } from './wire.ts'

const NOTIFIED_PATH = ['params', '_meta', META.subscriptionId]
const ANSWERED_PATH = ['result', '_meta', META.subscriptionId]

export class ModernChild {
  /** True until the child has proven that it is modern. */
  isTrial: boolean
  readonly wire: Wire
  readonly schemas: ToolSchemas
  readonly #undeliverable: Undeliverable
  readonly #log_levels = new Map<OpenCall, string>()
  #used_ms = Date.now()

  constructor(
    server: string,
    open: (wire: () => Wire) => Channel,
    log: Log,
    undeliverable: Undeliverable,
    isTrial: boolean,
  ) {
    this.isTrial = isTrial
    this.#undeliverable = undeliverable
    const events: WireEvents = {
      request: (text, message) => {
        undeliverable.requests++
        this.wire.reject(
          message,
          text,
          RPC.invalidRequest,
          'servers of this revision ask by input_required results',
        )
      },
      notification: (text, message, about) => this.#says(text, message, about),
      undeliverable: () => {
        undeliverable.notifications++
      },
    }
    this.wire = new Wire(
      server,
      open(() => this.wire),
      events,
      log,
    )
    this.schemas = new ToolSchemas(this.wire, ENVELOPE)
  }

  get child(): Channel {
    return this.wire.child
  }

  idleSince(): number | null {
    return this.wire.open.size > 0 || this.isTrial ? null : this.#used_ms
  }

  isBusy(): boolean {
    return this.wire.isBusy()
  }

  isStarting(): boolean {
    return this.isTrial
  }

  callsOpen(): number {
    return this.wire.callsOpen()
  }

  retire(): void {
    void this.child.end()
  }

  /** Forwards a request; the recipient gets its answer. Returns the call, to be abandoned when nobody wants that any more. */
  forward(text: string, message: RpcMessage, log_level: string | undefined, exchange: Recipient): OpenCall {
    const names = namesOf(text)
    const method = String(message.method)
    const forget = (): void => this.#forget(call)
    const call: OpenCall = {
      ...names,
      wire_id: 0,
      method,
      owner: this,
      exchange,
      left_ms: 0,
      settle: (answer, result) => {
        forget()
        const restored = method === 'subscriptions/listen' && locate(answer, ANSWERED_PATH) !== null
        exchange.settle(
          restored ? replaceValue(answer, ANSWERED_PATH, names.id) : answer,
          statusOf(result),
          0,
          result,
        )
      },
      fail: (refusal) => {
        forget()
        exchange.refuse(refusal, names.id)
      },
    }
    if (log_level !== undefined) this.#log_levels.set(call, log_level)
    exchange.forwarded()
    this.wire.call(text, call)
    return call
  }

  /** Nobody waits for the answer any more. */
  abandon(call: OpenCall, reason: string): void {
    this.#forget(call)
    this.wire.cancel(call, reason)
  }

  #forget(call: OpenCall): void {
    this.#log_levels.delete(call)
    this.#used_ms = Date.now()
  }

  /** Ends the open listen streams: the child is on its way out, clients listen again elsewhere. */
  endListens(): void {
    for (const call of [...this.wire.open.values()]) {
      if (call.method !== 'subscriptions/listen' || call.owner === null) continue
      this.wire.cancel(call, 'the server is stopping')
      call.exchange?.endSilently()
    }
  }

  #says(text: string, message: RpcMessage, about: OpenCall | undefined): void {
    const method = String(message.method)
    const params = message.params as RpcMessage | undefined
    if (method === 'notifications/tools/list_changed') this.schemas.invalidate()
    if (method === 'notifications/cancelled') {
      this.#endsListen(params)
      return
    }
    if (method === 'notifications/message') {
      if (about?.exchange?.isAlive) about.exchange.deliver(text)
      else this.#logs(text, params)
      return
    }
    const meta = params?._meta as RpcMessage | undefined
    const call = this.wire.open.get(meta?.[META.subscriptionId] as number)
    if (call?.exchange?.isAlive !== true) {
      this.#undeliverable.notifications++
      return
    }
    call.exchange.deliver(replaceValue(text, NOTIFIED_PATH, call.id))
  }

  #logs(text: string, params: RpcMessage | undefined): void {
    let wanting: OpenCall | null = null
    let count = 0
    for (const [call, level] of this.#log_levels) {
      if (!isLogWanted(params?.level, level)) continue
      wanting = call
      count++
    }
    if (count === 1 && wanting?.exchange?.isAlive === true) wanting.exchange.deliver(text)
    else this.#undeliverable.notifications++
  }

  /** On stdio a server ends a listen stream by cancelling it; over HTTP the stream just ends. */
  #endsListen(params: RpcMessage | undefined): void {
    const call = this.wire.open.get(params?.requestId as number)
    if (call?.method !== 'subscriptions/listen') return
    this.wire.open.delete(call.wire_id)
    call.exchange?.endSilently()
  }
}

/** HTTP status of a modern answer: protocol errors have one, errors of the operation itself are in-band. */
export function statusOf(message: RpcMessage): number {
  const code = (message.error as { code?: unknown } | undefined)?.code
  if (code === RPC.methodNotFound) return 404
  if (code === RPC.headerMismatch || code === RPC.capabilityMissing || code === RPC.versionUnsupported)
    return 400
  return 200
}
