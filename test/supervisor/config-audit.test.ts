/** The record of changes: nothing is lost while the collector is away or Weir is down, and no secret gets into it. */

import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { addNote } from '../../config/edit-notes.ts'
import { sha256Hex } from '../../config/key-text.ts'
import { parseConfig } from '../../config/load.ts'
import type { Config } from '../../config/schema.ts'
import { CHANGES_PATH, type ConfigChange } from '../../event/config-change.ts'
import { makeLog } from '../../event/log.ts'
import { ConfigAudit } from '../../supervisor/config-audit.ts'
import { type Folder, makeFolder } from '../support/folder.ts'
import { waitFor } from '../support/wait.ts'

const CANARY = 'canary-of-a-secret-value'
let folder: Folder
let server: Server
let url = ''
let isAway = false
let told: ConfigChange[] = []

beforeEach(async () => {
  folder = makeFolder('audit')
  told = []
  isAway = false
  server = createServer(async (req, res) => {
    let text = ''
    for await (const chunk of req) text += String(chunk)
    if (isAway || req.url !== CHANGES_PATH || req.headers.authorization !== 'Bearer intake')
      return void res.writeHead(503).end()
    told.push(...(JSON.parse(text) as ConfigChange[]))
    res.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
})
afterEach(() => {
  server.close()
  folder.remove()
})

const open = (): ConfigAudit =>
  new ConfigAudit({
    folder: folder.path,
    instance: 'here',
    secret: 'ab'.repeat(32),
    token: 'intake',
    collector: () => url,
    log: makeLog('test', 'error'),
  })
const take = (audit: ConfigAudit, text: string, isStart = false): Config => {
  const { config } = parseConfig(`data: ${folder.path}\n${text}`, 'weir.yaml', {})
  audit.taken(config, sha256Hex(text), isStart)
  return config
}
const key = (digit: string): string =>
  `callers: { a: { keys: [ { sha256: ${digit.repeat(64)}, id: k } ] } }\n`
const seen = (): string[] =>
  told.map(
    ({ section, name, before, after }) =>
      `${section} ${name} ${before === '' ? '+' : after === '' ? '-' : '~'}`,
  )

test('the first config ever is no change; what comes after it is', async () => {
  const audit = open()
  take(audit, key('a'), true)
  take(audit, `${key('b')}teams: { t: { budget_usd_per_month: 4 } }\n`)
  await waitFor('it is told', () => told.length === 2)
  expect(seen()).toEqual(['keys a#k ~', 'teams t +'])
})

test('what changed while Weir was down is told at its start, and as such', async () => {
  const before = open()
  take(before, key('a'), true)
  await before.flush()
  take(open(), 'callers: { a: { keys: [] } }\n', true)
  await waitFor('it is told', () => told.length === 1)
  expect(told).toMatchObject([{ section: 'keys', name: 'a#k', after: '', via: 'start', who: '' }])
})

test('while the collector is away changes wait on disk, over a restart too, and are told in order with their ids', async () => {
  isAway = true
  const audit = open()
  take(audit, key('a'), true)
  take(audit, key('b'))
  take(audit, key('c'))
  await audit.flush()
  const files = readdirSync(join(folder.path, 'config-changes')).sort()
  expect(files).toHaveLength(2)
  const ids = files.map(
    (name) =>
      (JSON.parse(readFileSync(join(folder.path, 'config-changes', name), 'utf8')) as ConfigChange[])[0]!.id,
  )
  isAway = false
  await open().flush()
  expect(told.map(({ id }) => id)).toEqual(ids)
  expect(new Set(ids).size).toBe(2)
  expect(readdirSync(join(folder.path, 'config-changes'))).toEqual([])
})

test('who made a change is told for what the notes cover, and for nothing else that came along', async () => {
  const audit = open()
  const before = key('a')
  const after = `${key('b')}teams: { t: {} }\n`
  take(audit, before, true)
  addNote(folder.path, {
    before: sha256Hex(before),
    after: sha256Hex(after),
    at_ms: 1,
    who: 'ada',
    via: 'command',
    paths: [['callers', 'a', 'keys', 0]],
  })
  take(audit, after)
  await waitFor('it is told', () => told.length === 2)
  expect(told).toMatchObject([
    { section: 'keys', who: 'ada', via: 'command' },
    { section: 'teams', who: '', via: 'file' },
  ])
})

test('no secret and no whole digest is told or kept, and yet every change of one is seen', async () => {
  const audit = open()
  const text = (secret: string): string => `${key('a')}
servers: { s: { url: 'https://user:${secret}@example.com/mcp', credentials: { bearer: ${secret} }, headers: { x-key: ${secret} } } }
store: { password: ${secret} }
collector: { token: ${secret}-intake-token }
export: { otlp: [ { url: 'http://o:1', headers: { authorization: ${secret} } } ] }
prices: [ { server: s, per_input_token_usd: "0.000003" } ]
`
  take(audit, text(CANARY), true)
  take(audit, text(`${CANARY}-2`).replace('0.000003', '0.000004'))
  await waitFor('it is told', () => told.length === 5)
  expect(seen()).toEqual([
    'collector token ~',
    'export otlp ~',
    'prices s/* ~',
    'servers s ~',
    'store password ~',
  ])
  expect(told.find(({ section }) => section === 'prices')).toMatchObject({
    after: expect.stringContaining('0.000004'),
  })
  const kept = readFileSync(join(folder.path, 'config-audited.json'), 'utf8')
  for (const place of [JSON.stringify(told), kept.replace(/"text_sha256":"[0-9a-f]{64}"/, '')]) {
    expect(place).not.toContain(CANARY)
    expect(place).not.toMatch(/[0-9a-f]{64}/)
  }
})
