/** What the roof needs of the worker around it. */
import type { Call } from '../call.ts'
import type { Catalogue } from '../catalogue.ts'
import type { Definitions } from '../definitions.ts'
import type { SessionSeal } from '../identity/session-id.ts'
import type { Server } from '../serve.ts'
import type { RelaySurroundings } from '../upstream/relay-surroundings.ts'
import type { RoofSessions } from './session.ts'

export type RoofSurroundings = RelaySurroundings & {
  readonly server: Server
  readonly seal: SessionSeal
  readonly cursorKey: Buffer
  readonly sessions: RoofSessions
  readonly catalogue: Catalogue
  readonly definitions: Definitions
  /** Told of every message of a server that comes by no relay: it may be news of its lists. */
  sawMessage(server: string, json: string): void
  /** This worker's slot, and how to reach another's. */
  readonly slot: string
  hop(call: Call, owner: string): Promise<boolean>
}
