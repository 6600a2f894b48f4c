/**
 * What servers say their tools are, as lines of the spool beside the events. Part of the contract, beside event/fields.ts.
 * An event of a `tools/list` names its answer by `list_id`; what was in it stands in one ToolList, and what each tool is in
 * one ToolDefinition: a worker writes them when it sees them first, and again at most hourly.
 */

/** What one server says one tool is. `hash` is of its content: the same definition has the same hash wherever it is seen. */
export type ToolDefinition = {
  definition: 1
  /** Microseconds since 1970 UTC. */
  ts: number
  server: string
  /** The server's own name of it. */
  tool: string
  /** 32 hex digits, of the whole definition as the server gave it. */
  hash: string
  /** What a model reads of it under its own name: name, description and input schema, by the method of `tokens_method`. */
  tokens: number
  /** Of the definition as canonical JSON, before it was masked and cut. */
  bytes: number
  /** The hints of the server, with the defaults of the protocol: what is not read-only may destroy unless it says otherwise. */
  read_only: boolean
  destructive: boolean
  /** The definition as canonical JSON, masked and cut; '' when it is not kept. */
  text: string
  /** What the server last said its version is, '' when unknown. */
  server_version: string
}

/** A tool in a list: its own name, the hash of its definition, its tokens under the name the client saw. */
export type ListedTool = readonly [tool: string, hash: string, tokens: number]

/** What one server had in the answer. Equal parts have equal ids, whatever stood beside them. */
export type ListPart = { server: string; part_id: string; tools: readonly ListedTool[] }

/** What one answer to `tools/list` held. */
export type ToolList = {
  list: 1
  /** Microseconds since 1970 UTC. */
  ts: number
  /** 32 hex digits, of the ids of its parts. */
  list_id: string
  parts: readonly ListPart[]
}

/** Longest kept definition, in characters; the rest is cut. */
export const DEFINITION_MAX_CHARS = 16_384
/** Most tools of one answer that is read; what an answer with more held is not known. */
export const LIST_TOOLS_MAX = 20_000
