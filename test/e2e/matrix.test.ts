/**
 * Every client with every server: five revisions over four transports on either side, the same script in each cell, the
 * client's view and the events of it. docs/compatibility.md is made from what was seen (UPDATE=1 writes it).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Folder, makeFolder } from '../support/folder.ts'
import { MODERN, type Sent } from '../support/matrix-client.ts'
import { stablePort } from '../support/ports.ts'
import {
  type Cell,
  expectedOf,
  missing,
  nameOf,
  run,
  type Seen,
  SIDES,
  type Side,
  withClient,
} from './support/matrix-cell.ts'
import { compatibilityPage } from './support/matrix-page.ts'
import { type Observed, ROOT, type Row, startObserved } from './support/observed.ts'

const PROGRAM = join(ROOT, 'test/support/matrix-server.ts')
const PAGE = join(ROOT, 'docs/compatibility.md')
const AT_ONCE = 6

const CLIENTS = SIDES.filter((side) => missing(side) === '')
const SERVERS = CLIENTS
/** Under the roof the way to a server is the same for every client transport: one of them. */
const ROOF_CLIENTS = CLIENTS.filter(({ transport }) => transport === 'websocket')
const cellsOf = (client: Side, isRoof: boolean): Cell[] =>
  SERVERS.map((server) => ({
    client,
    server,
    isRoof,
    tag: `${isRoof ? 'r' : 'm'}-${nameOf(client)}-${nameOf(server)}`,
  }))
const CELLS: readonly Cell[] = [
  ...CLIENTS.flatMap((client) => cellsOf(client, false)),
  ...ROOF_CLIENTS.flatMap((client) => cellsOf(client, true)),
].filter(({ tag }) => tag.includes(process.env.ONLY ?? ''))

let folder: Folder
let peers: ChildProcess
let weir: Observed
type Ran = { seen: Seen; sent: readonly Sent[]; faults: readonly string[] }
const ran = new Map<string, Ran | Error>()
const rowsOf = new Map<string, Row[]>()

async function startServers(report: string): Promise<Record<string, object>> {
  const config: Record<string, object> = {}
  const argv = [PROGRAM]
  for (const server of SERVERS) {
    const { revision, transport } = server
    const port = stablePort()
    const at = {
      http: 'http://127.0.0.1:PORT/mcp',
      sse: 'http://127.0.0.1:PORT/sse',
      websocket: 'ws://127.0.0.1:PORT/',
    }
    if (transport === 'stdio')
      config[nameOf(server)] = {
        command: [process.execPath, PROGRAM, `${revision}:stdio`],
        env: { MATRIX_REPORT: report },
      }
    else {
      argv.push(`${revision}:${transport}:${port}`)
      config[nameOf(server)] = { url: at[transport].replace('PORT', String(port)), transport }
    }
  }
  peers = spawn(process.execPath, argv, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, MATRIX_REPORT: report },
  })
  await once(peers.stdout!, 'data')
  return config
}

beforeAll(async () => {
  folder = makeFolder('matrix')
  const report = join(folder.path, 'cancelled')
  weir = await startObserved({ servers: await startServers(report) })
  const { proxy } = weir.weir.addresses
  // Under the roof one connection is enough for all servers.
  const waiting = [
    ...ROOF_CLIENTS.map((client) => CELLS.filter((cell) => cell.isRoof && cell.client === client)),
    ...CELLS.filter((cell) => !cell.isRoof).map((cell) => [cell]),
  ].filter((cells) => cells.length > 0)
  const work = async (): Promise<void> => {
    for (let cells = waiting.shift(); cells; cells = waiting.shift())
      await withClient(cells[0]!, proxy, async (client, isIn) => {
        for (const cell of cells) {
          const [sent, faults] = [client.sent.length, client.faults.length]
          const from = cell === cells[0] ? 0 : sent
          const seen = await run(cell, client, isIn, report)
          const found = { seen, sent: client.sent.slice(from), faults: client.faults.slice(faults) }
          ran.set(cell.tag, found)
        }
      }).catch((error: Error) => {
        for (const { tag } of cells) if (!ran.has(tag)) ran.set(tag, error)
      })
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  await weir.settled()
  const rows = await weir.store.rows<Row>(
    "SELECT * FROM calls WHERE match(agent, '^[mr]-v20') AND kind != 'notification' ORDER BY ts",
  )
  // A request's id begins with the tag of its connection: an event of a request that nobody sent has no cell.
  const cellOf = new Map(
    [...ran].flatMap(([tag, one]) => (one instanceof Error ? [] : one.sent.map(({ id }) => [id, tag]))),
  )
  for (const row of rows) {
    // What servers ask has ids of theirs; questions.test.ts is about it.
    const tag = row.kind === 'server_request' ? 'asked' : (cellOf.get(String(row.request_id)) ?? 'none')
    rowsOf.set(tag, [...(rowsOf.get(tag) ?? []), row])
  }
}, 300_000)
afterAll(async () => {
  await weir?.stop()
  peers?.kill('SIGKILL')
  folder?.remove()
})

/** What is wrong with a cell: what the client saw, what it found wrong, and the events. */
function problemsOf(cell: Cell): unknown {
  const found = ran.get(cell.tag)
  if (found === undefined || found instanceof Error) return { failed: String(found) }
  const { client, server, isRoof } = cell
  const rows = rowsOf.get(cell.tag) ?? []
  const events = rows.map((row) => ({
    id: row.request_id,
    method: row.method,
    tool: row.tool,
    outcome: row.outcome,
    era: row.era,
    protocol: row.protocol_version,
    transport: row.transport,
    server: row.method === 'tools/call' || !isRoof ? `${row.server} ${row.upstream_transport}` : '',
    upstream_protocol: row.method === 'tools/call' || !isRoof ? row.upstream_protocol_version : '',
  }))
  const prefix = isRoof ? `${nameOf(server)}_` : ''
  const wanted = found.sent.map((one) => ({
    id: one.id,
    method: one.method,
    tool: one.tool.slice(prefix.length),
    outcome: one.outcome,
    era: client.revision >= MODERN ? 'modern' : 'legacy',
    protocol: one.version,
    transport: client.transport,
    server: one.method === 'tools/call' || !isRoof ? `${nameOf(server)} ${server.transport}` : '',
    upstream_protocol: one.method === 'tools/call' || !isRoof ? server.revision : '',
  }))
  return { seen: found.seen, faults: found.faults, events, wanted }
}

const byId = (events: { id: unknown }[]): unknown[] =>
  [...events].sort((a, b) => String(a.id).localeCompare(String(b.id)))

function check(cell: Cell): void {
  const found = problemsOf(cell) as { failed?: string; events: { id: unknown }[]; wanted: { id: unknown }[] }
  expect(found.failed, cell.tag).toBeUndefined()
  const { events, wanted, ...seen } = found
  expect.soft(seen, cell.tag).toEqual({ seen: expectedOf(cell), faults: [] })
  expect.soft(byId(events), cell.tag).toEqual(byId(wanted))
}

/** `ONLY=<part of a tag>` runs a part of it. */
const SHOWN = CLIENTS.filter((client) => CELLS.some((cell) => cell.client === client && !cell.isRoof))
describe.for(SHOWN.map((client) => ({ client, name: nameOf(client) })))('client $name', ({ name }) => {
  test.for(CELLS.filter(({ client, isRoof }) => nameOf(client) === name && !isRoof))(
    'with $server.revision over $server.transport',
    (cell) => check(cell),
  )
})
describe.runIf(CELLS.some(({ isRoof }) => isRoof))('under the roof', () => {
  test.for(CELLS.filter(({ isRoof }) => isRoof))(
    'client $client.revision with $server.revision over $server.transport',
    (cell) => check(cell),
  )
})

test('what servers asked was recorded, of each kind', () => {
  const methods = new Set(rowsOf.get('asked')?.map((row) => row.method))
  if (process.env.ONLY !== undefined) return
  expect([...methods].sort()).toEqual(['elicitation/create', 'sampling/createMessage'])
})

test('no event is of a request that nobody sent', () => {
  expect(rowsOf.get('none') ?? []).toEqual([])
})

test('docs/compatibility.md says what was seen', () => {
  const seen = CELLS.flatMap((cell) => {
    const found = ran.get(cell.tag)
    return found && !(found instanceof Error) ? [{ ...cell, seen: found.seen }] : []
  })
  // A part of the matrix makes no page.
  if (process.env.ONLY !== undefined) return
  const text = compatibilityPage(seen)
  if (process.env.UPDATE === '1') writeFileSync(PAGE, text)
  expect(readFileSync(PAGE, 'utf8'), 'UPDATE=1 writes it anew').toBe(text)
})
