/**
 * The one listen stream that stands for what legacy sessions would hear unasked: list changes for all, updates of a resource
 * for those that subscribed. Opened anew when the subscriptions change, or when it drops.
 * Invariant: `update` resolves when the server has said what it honours, or that it will not.
 */
import { modernRequest } from '../../mcp/downgrade.ts'
import { removeValue } from '../../mcp/splice.ts'
import { META } from '../../mcp/versions.ts'
import type { Recipient } from '../exchange.ts'
import type { LegacySession } from '../legacy-child.ts'
import type { ModernChild } from '../modern-child.ts'
import type { OpenCall, RpcMessage } from '../wire.ts'
import type { DownSurroundings } from './down-call.ts'

const AGAIN_MIN_MS = 1000
const AGAIN_MAX_MS = 30_000

type Stream = { filter: string; child: ModernChild; call: OpenCall }

export class DownListen {
  readonly #env: DownSurroundings
  readonly #sessions: ReadonlySet<LegacySession>
  readonly #changes: Record<string, true>
  readonly #canSubscribe: boolean
  #stream: Stream | null = null
  #updating: Promise<void> = Promise.resolve()
  #again: NodeJS.Timeout | null = null
  #again_ms = AGAIN_MIN_MS
  #count = 0
  #is_over = false

  constructor(
    env: DownSurroundings,
    capabilities: RpcMessage | undefined,
    sessions: ReadonlySet<LegacySession>,
  ) {
    this.#env = env
    this.#sessions = sessions
    const can = (name: string, flag: string): boolean =>
      (capabilities?.[name] as RpcMessage | undefined)?.[flag] === true
    this.#changes = {}
    for (const name of ['tools', 'prompts', 'resources'])
      if (can(name, 'listChanged')) this.#changes[`${name}ListChanged`] = true
    this.#canSubscribe = can('resources', 'subscribe')
  }

  /** Listens to what the sessions want now. Never rejects. */
  update(): Promise<void> {
    this.#updating = this.#updating.then(() => this.#listen().catch(() => this.#later()))
    return this.#updating
  }

  end(): void {
    this.#is_over = true
    if (this.#again) clearTimeout(this.#again)
    this.#close(this.#stream)
    this.#stream = null
  }

  async #listen(): Promise<void> {
    if (this.#is_over) return
    const uris = new Set([...this.#sessions].flatMap((session) => [...session.subscriptions]))
    const filter: RpcMessage = { ...this.#changes }
    if (this.#canSubscribe && uris.size > 0) filter.resourceSubscriptions = [...uris].sort()
    const wanted = JSON.stringify(filter)
    if (wanted === (this.#stream?.filter ?? '{}')) return
    const before = this.#stream
    this.#stream = null
    if (wanted !== '{}') await this.#open(filter, wanted)
    // The old one until the new one stands: nothing is missed in between.
    this.#close(before)
  }

  async #open(filter: RpcMessage, wanted: string): Promise<void> {
    const { capabilities, clientInfo } = this.#env
    const id = `weir-listen-${++this.#count}`
    const request = { jsonrpc: '2.0', id, method: 'subscriptions/listen', params: { notifications: filter } }
    const text = modernRequest(JSON.stringify(request), { capabilities, clientInfo }, null)
    const child = await this.#env.modern()
    if (this.#is_over) return
    await new Promise<void>((stands) => {
      const dropped = (): void => {
        stands()
        if (this.#stream !== stream) return
        this.#stream = null
        this.#later()
      }
      const recipient: Recipient = {
        isAlive: true,
        deliver: (told) => {
          stands()
          this.#again_ms = AGAIN_MIN_MS
          this.#hear(told)
        },
        settle: dropped,
        endSilently: dropped,
        refuse: dropped,
        forwarded() {},
      }
      const call = child.forward(text, request, undefined, recipient)
      const stream = { filter: wanted, child, call }
      this.#stream = stream
    })
  }

  #close(stream: Stream | null): void {
    stream?.child.abandon(stream.call, 'nobody listens')
  }

  #later(): void {
    if (this.#is_over || this.#again) return
    this.#again = setTimeout(() => {
      this.#again = null
      void this.update()
    }, this.#again_ms).unref()
    this.#again_ms = Math.min(2 * this.#again_ms, AGAIN_MAX_MS)
  }

  #hear(text: string): void {
    const message = JSON.parse(text) as { method?: unknown; params?: { uri?: unknown } }
    const method = String(message.method)
    const isUpdate = method === 'notifications/resources/updated'
    if (!isUpdate && !method.endsWith('/list_changed')) return
    // As it was before there were such streams.
    const told = removeValue(text, ['params', '_meta', META.subscriptionId])
    for (const session of this.#sessions)
      if (!isUpdate || session.subscriptions.has(String(message.params?.uri))) session.post(told, () => {})
  }
}
