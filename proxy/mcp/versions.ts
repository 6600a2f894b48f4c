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

/** JSON-RPC codes (JSON-RPC 2.0, and the MCP specification from -32020 downward). */
export const RPC = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  headerMismatch: -32020,
  capabilityMissing: -32021,
  versionUnsupported: -32022,
} as const
