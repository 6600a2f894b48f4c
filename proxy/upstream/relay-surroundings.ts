/** What a relay needs of the worker around it, and what an endpoint may have it do to an answer. */
import type { Hash } from 'node:crypto'
import type { Call } from '../call.ts'
import type { WeirError } from '../errors.ts'
import type { Gate } from '../gate.ts'
import type { OpenCalls } from '../open-calls.ts'
import type { Questions } from '../questions.ts'
import type { Written } from '../spool/writer.ts'
import type { Deadlines } from './deadline.ts'
import type { Upstream } from './upstream.ts'

/** What the relay needs of its surroundings. */
export type RelaySurroundings = {
  /** Runs the stages that need to know where the call goes. Call it last before sending; it returns a promise only when one waits. */
  passTarget(call: Call): void | Promise<void>
  /** As passTarget, for a call that the roof answers itself or shares out to all servers: only what counts calls runs. */
  passRoof(call: Call): void | Promise<void>
  /** Writes the call's event. */
  record(call: Call): void
  /** Has the call's event written, and then tells `then`, which sends the answer's last byte. */
  recordThen(call: Call, then: Written): void
  /** Answers with an error that Weir makes, and records. Only while nothing was sent. */
  refuse(call: Call, error: WeirError): void
  /** JSON text of an error response, for a stream already open. */
  errorText(call: Call, error: WeirError): string
  /** Hash of the answer as the event keeps it; null when results are not hashed. */
  hashResult: ((bytes: Buffer, begun: Hash | null) => string) | null
  /** A hash for an answer that comes in parts: all but the last go into it. */
  beginHash(): Hash
  /** Takes the whole text of an answer: it is captured where a rule names the call, and questions in it are recorded. */
  sawResult(call: Call, text: string): void
  /** What its endpoint wants done to an answer, and what validation wants done to it before. */
  judged(call: Call, hooks: RelayHooks): RelayHooks
  /** Tells the upstream that nobody waits for the answer any more. */
  cancel(call: Call, upstream: Upstream, reason: string): void
  /** A notifications/cancelled has come: the call it names is told, in this worker or another. */
  cancelled(notice: Call): void
  /** Where a cancel finds the calls under way. */
  readonly open: OpenCalls
  /** What rules let callers see; null without rules. */
  readonly gate: Gate | null
  /** Whether the client of a call may hear what a server tells, by the rules in force now: a stream may be older than they are. */
  mayHear(call: Call, server: string, json: string): boolean
  /** What servers ask clients. */
  readonly questions: Questions
  readonly deadlines: Deadlines
}

/** What one call may have done to its answer; all null for a transparent endpoint. */
export type RelayHooks = {
  /** Value for the client's Mcp-Session-Id header when the server set one; asked once the answer is read. */
  sessionId: ((upstreamId: string) => string) | null
  /**
   * Takes out of every message what the client may not see, before anything else reads it; throws a WeirError for what cannot be
   * read. Nothing that it has not seen reaches the client. Null: nothing is to be taken out.
   */
  filter: ((json: string) => string) | null
  /** Rewrites one message text of a stream; null: pass the bytes. */
  message: ((json: string) => string) | null
  /** Rewrites the answer, unless it is very large; null: pass the bytes. */
  result: ((json: string) => string) | null
  /**
   * Asked when the server refuses in a way that may mean a lost session or another era: 404 and 405 (without the body), 400.
   * True: the call was taken back and goes another way.
   */
  takenBack: ((status: number, body: string) => boolean) | null
}
