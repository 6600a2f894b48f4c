/** docs/compatibility.md, made from what the matrix saw: every sentence about a cell comes from what its client was told. */
import { type Cell, missing, nameOf, REVISIONS, type Seen, SIDES, type Side } from './matrix-cell.ts'

export type SeenCell = Cell & { seen: Seen }

const SHORT: Record<Side['transport'], string> = { http: 'http', sse: 'sse', stdio: 'stdio', websocket: 'ws' }
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

/** What came through, as one sign. */
function sign({ seen }: SeenCell): string {
  if (seen.hasLeft) return 'v'
  return seen.elicitation === 'answered' ? '✓' : 'e'
}

/** What a cell loses, in words; the text of a cell without loss is `everything`. */
function words({ seen, client, server }: SeenCell): string {
  if (seen.hasLeft) return `the client leaves: it is told ${seen.version}`
  const lost: string[] = []
  if (seen.version < client.revision) lost.push(`spoken as ${seen.version}`)
  if (seen.elicitation !== 'answered') {
    const without = server.revision < '2025-06-18' ? 'the server has none' : "the tool's answer is an error"
    lost.push(`no elicitation (${without})`)
  }
  if (seen.audio === 'as text') lost.push('audio becomes a text')
  if (seen.link === 'as text') lost.push('resource links become texts')
  if (seen.structured === 'lost') lost.push('structured results are left out')
  if (seen.structured === 'wrapped') lost.push('structured results that are no objects are wrapped in one')
  return lost.length === 0 ? 'everything' : lost.join('; ')
}

/** One text for all transports of a pair of revisions; several, with how often, when transports differ. */
function ofRevisions(cells: readonly SeenCell[], client: string, server: string): string {
  const counts = new Map<string, number>()
  for (const cell of cells)
    if (cell.client.revision === client && cell.server.revision === server)
      counts.set(words(cell), (counts.get(words(cell)) ?? 0) + 1)
  if (counts.size === 1) return [...counts.keys()][0]!
  return [...counts].map(([text, n]) => `${n}x: ${text}`).join('<br>')
}

const revisions = (cells: readonly SeenCell[]): string =>
  table(
    ['client ↓ server →', ...REVISIONS],
    REVISIONS.map((client) => [client, ...REVISIONS.map((server) => ofRevisions(cells, client, server))]),
  )

function grid(cells: readonly SeenCell[]): string {
  const signs = new Map(cells.map((cell) => [`${nameOf(cell.client)} ${nameOf(cell.server)}`, sign(cell)]))
  const title = ({ revision, transport }: Side): string => `${revision} ${SHORT[transport]}`
  const of = (client: Side, server: Side): string =>
    missing(client) || missing(server)
      ? 'n/a'
      : (signs.get(`${nameOf(client)} ${nameOf(server)}`) ?? 'not run')
  return table(
    ['client ↓ server →', ...SIDES.map(title)],
    SIDES.map((client) => [title(client), ...SIDES.map((server) => of(client, server))]),
  )
}

export function compatibilityPage(cells: readonly SeenCell[]): string {
  const direct = cells.filter(({ isRoof }) => !isRoof)
  const roof = cells.filter(({ isRoof }) => isRoof)
  const [none] = SIDES.filter(missing)
  return `# What works with what

<!-- Made by test/e2e/matrix.test.ts from what its clients saw; UPDATE=1 writes it anew. -->

Clients of five revisions of MCP over four transports, through Weir, with servers of the same. Every server speaks its
revision and nothing else; every legacy client knows its own and the older ones. In each cell the client lists the tools,
calls one, calls one that fails, follows the progress of a call, cancels one, and is asked for a sampling and, where the
revisions of both have it, an elicitation; the server has to learn of the cancel, and each request leaves exactly one event
with its outcome, its era, and the revision and transport of both sides.

${direct.length} of ${SIDES.length ** 2} cells were run at \`/servers/<name>/mcp\`, and ${roof.length} at \`/mcp\`, with clients over WebSocket. The others are
marked n/a: there is no ${none!.revision} over streamable HTTP, because ${missing(none!)}.

## By revision

At a server's own endpoint; the same over every transport on either side unless a count says otherwise. List, call, failing
call, progress, cancel and sampling work in every cell but those that the client leaves.

${revisions(direct)}

- Between a client and a server of different legacy revisions, Weir leaves the choice of the revision to them, as without
  it. The servers here know one revision: one that is older than its client is spoken to in its own, one that is newer makes
  the client leave after \`initialize\`. Servers made with an SDK know the older revisions too, and answer with the client's:
  that is the cell of equal revisions.
- Between 2026-07-28 and the legacy revisions Weir translates. Questions of a legacy server reach a modern client as an
  \`input_required\` answer, those of a modern server reach a legacy client as requests.

## Under the roof

At \`/mcp\` Weir itself is the server, so that every client speaks its own revision, and what a newer server answers is cut
to it. Answers above 256 KiB are passed on as they are.

${revisions(roof)}

## Every cell

- ✓: everything that the two revisions have in common, elicitation included
- e: the same, without elicitation
- v: the client leaves after version negotiation
- n/a: does not exist

http is streamable HTTP, sse HTTP+SSE, ws WebSocket. A stdio client is one of \`weir connect\`, which speaks streamable HTTP
with Weir; of its own user's Weir on the same machine its calls are recorded as stdio. A stdio server is a process that Weir hosts. HTTP+SSE with revisions after
2024-11-05, and WebSocket with any, stand in no specification, but there are servers and clients of them.

${grid(direct)}
`
}
