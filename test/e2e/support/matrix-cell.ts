/** One cell of the compatibility matrix: the script every client runs with every server, and what has to come of it. */
import { existsSync, readFileSync } from 'node:fs'
import { type Answer, type Json, MatrixClient, MODERN, type Transport } from '../../support/matrix-client.ts'
import { waitFor } from '../../support/wait.ts'

export const REVISIONS = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', MODERN] as const
export const TRANSPORTS: readonly Transport[] = ['http', 'sse', 'stdio', 'websocket']
const AUDIO_SINCE = '2025-03-26'
const STREAMABLE_SINCE = '2025-03-26'
const STRUCTURED_SINCE = '2025-06-18'
const ELICITATION_SINCE = '2025-06-18'

/** A client or a server: what it speaks, and over what. */
export type Side = { revision: string; transport: Transport }
export const SIDES: readonly Side[] = REVISIONS.flatMap((revision) =>
  TRANSPORTS.map((transport) => ({ revision, transport })),
)
export const nameOf = ({ revision, transport }: Side): string => `v${revision}-${transport}`

/** Why there is no such client or server; '' when there is. */
export const missing = ({ revision, transport }: Side): string =>
  transport === 'http' && revision < STREAMABLE_SINCE ? `streamable HTTP came with ${STREAMABLE_SINCE}` : ''

/** What the client saw. */
export type Seen = {
  /** The revision in use, or the one of the server that made the client leave. */
  version: string
  hasLeft: boolean
  tools: number
  text: string
  audio: string
  link: string
  structured: string
  fail: string
  steps: string
  cancel: string
  elicitation: string
  sampling: string
}

const LEFT: Omit<Seen, 'version' | 'hasLeft'> = {
  tools: 0,
  text: '',
  audio: '',
  link: '',
  structured: '',
  fail: '',
  steps: '',
  cancel: '',
  elicitation: '',
  sampling: '',
}

export type Cell = { client: Side; server: Side; isRoof: boolean; tag: string }

/** What the script has to show. */
export function expectedOf({ client, server, isRoof }: Cell): Seen {
  const isBridged = client.revision >= MODERN || server.revision >= MODERN || isRoof
  // Legacy to legacy the handshake is the two sides' own: the server says its revision, and the client knows older ones.
  const hasLeft = !isBridged && server.revision > client.revision
  const version = isBridged || client.revision < server.revision ? client.revision : server.revision
  if (hasLeft) return { ...LEFT, version: server.revision, hasLeft }
  const both = [version, server.revision].sort()[0]!
  const has = (since: string): boolean => both >= since
  const isWrapped = server.revision >= MODERN && client.revision < MODERN
  const kept = (since: string, lossless: string): string =>
    has(since) ? lossless : server.revision >= since ? 'lost' : 'none'
  return {
    version,
    hasLeft,
    tools: 6,
    text: 'as it is',
    audio: kept(AUDIO_SINCE, 'as it is').replace('lost', 'as text'),
    link: kept(STRUCTURED_SINCE, 'as it is').replace('lost', 'as text'),
    structured: kept(STRUCTURED_SINCE, isWrapped ? 'wrapped' : 'as it is'),
    fail: 'tool_error',
    steps: '1,2',
    cancel: 'reached the server',
    elicitation: has(ELICITATION_SINCE) ? 'answered' : 'tool_error',
    sampling: 'answered',
  }
}

const blocks = ({ result }: Answer): Json[] => (result?.content ?? []) as Json[]
const textOf = (answer: Answer): string => String(blocks(answer)[0]?.text ?? answer.error?.message)

/** How a kind of content arrived: as itself, as a text in its place, or not at all. */
function kindOf(answer: Answer, type: string, place: number): string {
  if (blocks(answer).some((block) => block.type === type)) return 'as it is'
  return blocks(answer)[place]?.type === 'text' ? 'as text' : 'none'
}

function structuredOf({ result }: Answer): string {
  const text = JSON.stringify(result?.structuredContent)
  if (text === undefined) return 'none'
  return text === '{"result":[1,2]}'
    ? 'wrapped'
    : text === '[1,2]' || text === '{"numbers":[1,2]}'
      ? 'as it is'
      : text
}

/** Connects a client of a cell, says hello, and runs what is to be run. `lead`: of the cell that opens the connection. */
export async function withClient(
  lead: Cell,
  origin: string,
  use: (client: MatrixClient, isIn: boolean) => Promise<void>,
): Promise<void> {
  const path = lead.isRoof ? '/mcp' : `/servers/${nameOf(lead.server)}/mcp`
  const client = await MatrixClient.open({ ...lead.client, origin, path, tag: lead.tag })
  try {
    await use(client, await client.greet())
  } finally {
    await client.close()
  }
}

/** Runs the script, on a connection that is open. `report`: the file in which servers note the calls that were cancelled. */
export async function run(cell: Cell, client: MatrixClient, isIn: boolean, report: string): Promise<Seen> {
  if (!isIn) return { ...LEFT, version: client.version, hasLeft: true }
  const { server, isRoof, tag } = cell
  const prefix = isRoof ? `${nameOf(server)}_` : ''
  const list = (await client.ask('tools/list')).result?.tools as Json[]
  const echo = await client.call(`${prefix}echo`, { text: tag })
  const fail = await client.call(`${prefix}fail`)
  const steps: unknown[] = []
  await client.call(`${prefix}steps`, {}, (_cancel, { progress }) => steps.push(progress))
  const { isCancelled } = await client.call(`${prefix}wait`, { key: tag }, (cancel) => cancel())
  const isNoted = (): boolean => existsSync(report) && readFileSync(report, 'utf8').split('\n').includes(tag)
  await waitFor(`the server hears of the cancel of ${tag}`, isNoted)
  const answered = (answer: Answer): string =>
    textOf(answer) === `answer: ${client.tag}`
      ? 'answered'
      : answer.result?.isError === true
        ? 'tool_error'
        : textOf(answer)
  return {
    version: client.version,
    hasLeft: false,
    tools: list.filter(({ name }) => String(name).startsWith(prefix)).length,
    text: textOf(echo) === `echo: ${tag}` ? 'as it is' : textOf(echo),
    audio: kindOf(echo, 'audio', 1),
    link: kindOf(echo, 'resource_link', 2),
    structured: structuredOf(echo).replace('none', server.revision >= STRUCTURED_SINCE ? 'lost' : 'none'),
    fail: fail.result?.isError === true ? 'tool_error' : textOf(fail),
    steps: steps.join(),
    cancel: isCancelled === true ? 'reached the server' : 'was not heard of',
    elicitation: answered(await client.call(`${prefix}ask`)),
    sampling: answered(await client.call(`${prefix}sample`)),
  }
}
