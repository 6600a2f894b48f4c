/** What stands under a name or in a list: a server, a caller, a label, a capture rule. */
import { z } from 'zod'
import { callerKey } from './caller-keys.ts'
import { meta, ms, serverUrl } from './leaves.ts'
import { serverPrice, tags } from './money.ts'
import { callerCertificate } from './tls.ts'
import { isWebSocketUrl } from './transport.ts'

/** Key of a server: becomes a path segment and the prefix of its names under the roof. */
export const serverName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9-]{0,39}$/,
    'a server name is 1 to 40 letters, digits and "-" and begins with a letter or digit, for example my-server',
  )

export const server = z
  .strictObject({
    url: serverUrl.optional().meta(
      meta('Endpoint of the server: http(s), or ws(s) for WebSocket', {
        example: 'https://example.com/mcp',
      }),
    ),
    transport: z
      .enum(['http', 'sse', 'websocket'])
      .optional()
      .meta(
        meta(
          'What is spoken at `url`: http (streamable HTTP), sse (HTTP+SSE of 2024-11-05), websocket; default: websocket for ws(s) URLs, else http',
        ),
      ),
    command: z
      .union([z.string().min(1), z.array(z.string()).min(1)])
      .optional()
      .meta(
        meta('Command of a stdio server, hosted by Weir: one line, or a list of words', {
          example: 'npx -y @modelcontextprotocol/server-memory',
        }),
      ),
    args: z.array(z.string()).default([]).meta(meta('Further arguments of the command')),
    env: z
      .record(z.string(), z.string())
      .default({})
      .meta(
        meta('Environment of the command, added to the allow-listed PATH, HOME, LANG, TMPDIR and the like'),
      ),
    cwd: z.string().optional().meta(meta('Working folder of the command; default: the folder of weir.yaml')),
    headers: z
      .record(z.string(), z.string())
      .default({})
      .meta(meta('Headers sent to the server with every request')),
    credentials: z
      .strictObject({
        bearer: z
          .string()
          .min(1)
          .optional()
          .meta(meta('Bearer token for the server; use ${ENV} or file:', { example: '${GITHUB_TOKEN}' })),
      })
      .default({})
      .meta(meta("Weir's own credentials towards the server; the caller's are never passed on")),
    timeout_ms: ms(
      120_000,
      'Deadline of one call: from forwarded to its answer; each streamed message extends it',
    ),
    timeout_max_ms: ms(3_600_000, 'Hard end of one call, however much progress it reports'),
    list_timeout_ms: ms(10_000, 'How long a merged list waits for this server'),
    connections_max: z
      .number()
      .int()
      .min(1)
      .max(4096)
      .default(128)
      .meta(meta('Connections to the server for calls; streams have a pool of their own')),
    era: z
      .enum(['auto', 'legacy', 'modern'])
      .default('auto')
      .meta(
        meta(
          'Wire era of the server; auto finds out with server/discover. Clients of the other era are bridged',
        ),
      ),
    isolation: z
      .enum(['caller', 'session', 'shared'])
      .default('caller')
      .meta(
        meta(
          'Not for streamable HTTP. Who shares a child process or connection: one per caller (a client that answers sampling, elicitation or roots gets its own), one per session, or one for all (only for servers that keep no state)',
        ),
      ),
    processes_max: z
      .number()
      .int()
      .min(1)
      .max(1000)
      .default(32)
      .meta(
        meta('Not for streamable HTTP. Most child processes of, or connections to, this server at a time'),
      ),
    instances: z
      .number()
      .int()
      .min(1)
      .max(64)
      .default(1)
      .meta(
        meta(
          'Only with `command` and isolation shared. Equal child processes among which calls are spread, fewest open calls first; a legacy session stays on its own',
        ),
      ),
    memory_max_bytes: z
      .number()
      .int()
      .min(1_048_576)
      .optional()
      .meta(
        meta(
          'Only with `command`, on Linux. Most memory a child process and what it started may hold; above it they are ended and started again after a pause',
          { unit: 'bytes', example: 536_870_912 },
        ),
      ),
    idle_timeout_ms: ms(
      600_000,
      'Not for streamable HTTP. An unused child process or connection is ended after this time',
    ),
    price: serverPrice.optional(),
  })
  .superRefine((s, context) => {
    const refuse = (message: string, ...path: string[]): void =>
      context.addIssue({ code: 'custom', message, path })
    if ((s.url === undefined) === (s.command === undefined))
      return refuse(
        'a server has either `url` or `command` (stdio), for example url: https://example.com/mcp',
      )
    if (s.command === undefined && s.instances > 1)
      return refuse(
        'only a server with `command` has instances; put several URLs behind a load balancer, for example instances: 1',
        'instances',
      )
    if (s.isolation !== 'shared' && s.instances > 1)
      return refuse(
        'children that are not shared belong to a caller or a session and cannot be spread over; servers that keep no state can have isolation: shared',
        'instances',
      )
    if (s.instances > s.processes_max)
      return refuse(
        `${s.instances} instances are more than processes_max (${s.processes_max}), for example processes_max: ${s.instances}`,
        'instances',
      )
    if (s.command === undefined && s.memory_max_bytes !== undefined)
      return refuse(
        'only a server with `command` is a process of ours whose memory can be bounded; leave it out',
        'memory_max_bytes',
      )
    if (s.transport === undefined) return
    if (s.url === undefined)
      return refuse(
        'a server with `command` is spoken to over stdio and takes no `transport`, for example command: npx -y @modelcontextprotocol/server-memory',
        'transport',
      )
    if ((s.transport === 'websocket') !== isWebSocketUrl(s.url))
      refuse(
        s.transport === 'websocket'
          ? 'transport websocket needs a ws:// or wss:// URL, for example url: wss://example.com/mcp'
          : `transport ${s.transport} needs an http:// or https:// URL, for example url: https://example.com/mcp`,
        'transport',
      )
  })

export const caller = z.strictObject({
  team: z.string().max(100).default('').meta(meta('Team the caller belongs to')),
  project: z.string().max(100).default('').meta(meta('Project the caller works for')),
  roles: z
    .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/, 'a role is a word, for example analyst'))
    .default([])
    .meta(meta('Roles that rules may ask for', { example: '[analyst]' })),
  tags: tags.meta(meta("Tags of every call, for example its cost center; they win over the team's")),
  keys: z
    .array(callerKey)
    .default([])
    .meta(meta('API keys and personal tokens; several allow rotation without a gap. `weir key` makes them')),
  certificates: z
    .array(callerCertificate)
    .default([])
    .meta(meta('Certificates by which a TLS listener knows the caller')),
})

export const labelSource = z.strictObject({
  header: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/, 'expected a header name, for example x-weir-agent')
    .optional()
    .meta(meta('HTTP header to read')),
  baggage: z.string().min(1).optional().meta(meta('W3C baggage key to read, in `_meta` or the HTTP header')),
})

export const captureRule = z.strictObject({
  tools: z
    .string()
    .min(1)
    .meta(meta('Which calls, as server_tool with * as wildcard', { example: 'files_*' })),
  callers: z.string().min(1).default('*').meta(meta('Which callers, with * as wildcard')),
  arguments: z.boolean().default(false).meta(meta('Keep the arguments, masked')),
  results: z.boolean().default(false).meta(meta('Keep the result, masked')),
})
