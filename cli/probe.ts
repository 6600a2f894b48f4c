/**
 * Asks an MCP server who it is and what tools it has, as Weir would: server/discover first, then the handshake, as its
 * `era` says. Leaves nothing behind: sessions are deleted, processes ended.
 */
import type { ServerConfig } from '../config/schema.ts'
import { transportOf, type UpstreamTransport } from '../config/transport.ts'
import { LEGACY_VERSION, META, MODERN_VERSION, WEIR_INFO } from '../proxy/mcp/versions.ts'
import { openConnection } from './probe-connection.ts'
import { openHttp } from './probe-http.ts'
import { openStdio } from './probe-stdio.ts'

export type RpcMessage = {
  id?: unknown
  method?: string
  result?: Record<string, unknown>
  error?: { code?: number; message?: string }
}

/** A line to a server. `ask` rejects when no answer comes; a JSON-RPC error is an answer. */
export type Speaker = {
  ask(method: string, params: Record<string, unknown>, version: string): Promise<RpcMessage>
  notify(method: string, version: string): Promise<void>
  close(): Promise<void>
}

export type Probe = {
  server: string
  ok: boolean
  transport: UpstreamTransport
  era: 'unknown' | 'legacy' | 'modern'
  /** Protocol revision it speaks. */
  version: string
  /** What it calls itself, with its version. */
  name: string
  /** null: it has no tools to list. */
  tools: number | null
  duration_ms: number
  error: string
}

/** npx may have to download a package first. */
const PROBE_MAX_MS = 60_000
const PAGES_MAX = 100

const metaOf = (): Record<string, unknown> => ({
  [META.version]: MODERN_VERSION,
  [META.capabilities]: {},
  [META.clientInfo]: WEIR_INFO,
})

type Met = Pick<Probe, 'era' | 'version' | 'name'> & { hasTools: boolean }
type Info = { name?: unknown; version?: unknown } | undefined
const nameOf = (info: Info): string =>
  [info?.name, info?.version].filter((v) => typeof v === 'string').join(' ')
const said = ({ error }: RpcMessage): string => `JSON-RPC error ${error?.code ?? ''}: ${error?.message ?? ''}`

async function discover(speaker: Speaker): Promise<Met | null> {
  const { result } = await speaker.ask('server/discover', { _meta: metaOf() }, MODERN_VERSION)
  const versions = result?.supportedVersions
  if (!result || !Array.isArray(versions) || !versions.includes(MODERN_VERSION)) return null
  const meta = result._meta as Record<string, unknown> | undefined
  const capabilities = result.capabilities as Record<string, unknown> | undefined
  return {
    era: 'modern',
    version: MODERN_VERSION,
    name: nameOf((result.serverInfo ?? meta?.[META.serverInfo]) as Info),
    hasTools: capabilities?.tools !== undefined,
  }
}

async function initialize(speaker: Speaker): Promise<Met> {
  const answer = await speaker.ask(
    'initialize',
    {
      protocolVersion: LEGACY_VERSION,
      capabilities: {},
      clientInfo: { name: WEIR_INFO.name, version: WEIR_INFO.version },
    },
    '',
  )
  if (!answer.result) throw new Error(`it refused initialize: ${said(answer)}`)
  const { protocolVersion, serverInfo, capabilities } = answer.result as {
    protocolVersion?: unknown
    serverInfo?: Info
    capabilities?: { tools?: unknown }
  }
  const version = typeof protocolVersion === 'string' ? protocolVersion : 'unknown'
  await speaker.notify('notifications/initialized', version)
  return { era: 'legacy', version, name: nameOf(serverInfo), hasTools: capabilities?.tools !== undefined }
}

async function meet(speaker: Speaker, era: ServerConfig['era']): Promise<Met> {
  if (era !== 'legacy') {
    const met = await discover(speaker).catch((error: Error) => {
      if (era === 'modern') throw error
      return null
    })
    if (met) return met
    if (era === 'modern')
      throw new Error(`it does not serve revision ${MODERN_VERSION}; set \`era: auto\` or \`legacy\``)
  }
  return initialize(speaker)
}

async function countTools(speaker: Speaker, { era, version }: Met): Promise<number> {
  let tools = 0
  let cursor: unknown
  for (let page = 0; page < PAGES_MAX; page++) {
    const params = {
      ...(cursor === undefined ? {} : { cursor }),
      ...(era === 'modern' ? { _meta: metaOf() } : {}),
    }
    const answer = await speaker.ask('tools/list', params, version)
    if (!answer.result) throw new Error(`it refused tools/list: ${said(answer)}`)
    tools += Array.isArray(answer.result.tools) ? answer.result.tools.length : 0
    cursor = answer.result.nextCursor
    if (typeof cursor !== 'string' || cursor === '') break
  }
  return tools
}

/** Never rejects: what goes wrong is in `error`. */
export async function probe(
  server: string,
  config: ServerConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Probe> {
  const transport = transportOf(config)
  const started_ms = performance.now()
  let met: Met | null = null
  let tools: number | null = null
  let error = ''
  let speaker: Speaker | null = null
  const deadline = AbortSignal.timeout(PROBE_MAX_MS)
  try {
    speaker =
      transport === 'http'
        ? openHttp(config, deadline)
        : transport === 'stdio'
          ? openStdio(config, env, deadline)
          : openConnection(server, config, deadline)
    met = await meet(speaker, config.era)
    if (met.hasTools) tools = await countTools(speaker, met)
  } catch (reason) {
    error = deadline.aborted ? `no answer within ${PROBE_MAX_MS / 1000} s` : (reason as Error).message
  }
  const duration_ms = Math.round(performance.now() - started_ms)
  await speaker?.close().catch(() => {})
  return {
    server,
    ok: error === '',
    transport,
    era: met?.era ?? 'unknown',
    version: met?.version ?? '',
    name: met?.name ?? '',
    tools,
    duration_ms,
    error,
  }
}
