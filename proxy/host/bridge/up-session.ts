/**
 * A session with a legacy server that the bridge holds on behalf of modern clients of one principal: they have none.
 * What the server says unasked goes to the bridge, which knows who listens.
 */
import { LegacyChild, type LegacyPeer } from '../legacy-child.ts'
import { Refusal } from '../refusal.ts'
import { Session } from '../session.ts'
import { ToolSchemas } from '../tool-schemas.ts'

export class UpSession extends Session<LegacyChild> {
  /** Told of everything that belongs to no call. */
  hears: (text: string) => void = () => {}
  /** How many listen. */
  listeners = 0
  /** Calls that chose it and are not forwarded yet. */
  claims = 0
  /** JSON text of who the server says it is, '' when it does not. */
  serverInfo = ''
  readonly schemas = new ToolSchemas(this.child.wire, {})
  /** The server's answer to `initialize`. */
  initialized: Record<string, unknown> = {}

  get isFree(): boolean {
    return this.calls.size === 0 && this.claims === 0
  }

  override get hasStream(): boolean {
    return this.listeners > 0
  }

  override post(text: string, lost: () => void): void {
    // A question that belongs to no call has no way to a modern client.
    if ((JSON.parse(text) as { id?: unknown }).id !== undefined || this.listeners === 0) lost()
    else this.hears(text)
  }
}

export const upSessionOn =
  (principal: string) =>
  (child: LegacyPeer): UpSession => {
    if (child instanceof LegacyChild) return new UpSession(principal, child.version, child)
    // It was legacy a moment ago, and bridges do not stand on each other.
    throw new Refusal(503, 'restarting', 'the server just changed its era', { retry_after_ms: 1000 })
  }
