/** The protocol revisions Weir knows, newest first, and the words of the modern envelope. Source: MCP specification. */

export const MODERN_VERSION = '2026-07-28'
export const MODERN_VERSIONS: readonly string[] = [MODERN_VERSION]
export const LEGACY_VERSIONS: readonly string[] = [
  '2025-11-25',
  '2025-06-18',
  '2025-03-26',
  '2024-11-05',
  '2024-10-07',
]
export const LEGACY_VERSION = '2025-11-25'
/** Whether a server's list of supported revisions holds a modern one that we know. */
export const speaksModern = (versions: unknown): boolean =>
  Array.isArray(versions) && versions.some((version) => MODERN_VERSIONS.includes(version as string))
/** What a legacy HTTP request without a version header speaks (spec 2025-03-26, transports). */
export const LEGACY_DEFAULT_VERSION = '2025-03-26'

/** How Weir names itself where it answers instead of a server. */
export const WEIR_INFO = { name: 'weir', title: 'Weir', version: '0.1.0' } as const

/** Keys of `params._meta` that make a request modern (spec 2026-07-28, basic/metadata). */
export const META = {
  version: 'io.modelcontextprotocol/protocolVersion',
  capabilities: 'io.modelcontextprotocol/clientCapabilities',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
} as const

/** Requests whose answer is a stream without an end: they are bounded and drained like the GET stream of a session. */
export const STREAM_METHODS: ReadonlySet<string> = new Set(['subscriptions/listen'])

/** JSON-RPC codes (JSON-RPC 2.0, and the MCP specification from -32020 downward). */
export const RPC = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  /** Legacy only; the modern era says invalidParams. */
  resourceNotFound: -32002,
  headerMismatch: -32020,
  capabilityMissing: -32021,
  versionUnsupported: -32022,
} as const

/** Methods of any revision, from either side. */
export const KNOWN_METHODS: readonly string[] = [
  'initialize',
  'ping',
  'server/discover',
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'completion/complete',
  'logging/setLevel',
  'subscriptions/listen',
  'tasks/get',
  'tasks/update',
  'tasks/cancel',
  'tasks/list',
  'tasks/result',
  'sampling/createMessage',
  'elicitation/create',
  'roots/list',
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
  'notifications/message',
  'notifications/tasks',
]
