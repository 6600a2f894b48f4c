/** What a good weir.yaml becomes: values of the environment and of files, paths, defaults, and a result nobody can change. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hostOf, isLoopback, portOf } from '../../config/address.ts'
import { picoPerToken } from '../../config/context.ts'
import { loadConfig, parseConfig } from '../../config/load.ts'
import { type Folder, makeFolder } from '../support/folder.ts'

const parse = (text: string, env: Record<string, string> = {}) =>
  parseConfig(text, '/etc/weir/weir.yaml', env)

describe('values', () => {
  let folder: Folder
  beforeAll(() => {
    folder = makeFolder('config')
    mkdirSync(join(folder.path, 'secrets'))
    writeFileSync(join(folder.path, 'secrets', 'token'), 'from-a-file\n')
    writeFileSync(
      join(folder.path, 'weir.yaml'),
      'servers: { a: { url: http://x/, credentials: { bearer: "file:secrets/token" } } }',
    )
  })
  afterAll(() => folder.remove())

  test('come from the environment, whole or in part, with defaults', () => {
    const { config } = parse(
      'servers: { a: { url: "http://${HOST}:${PORT:-8080}/mcp", headers: { x: "${EMPTY:-}", y: "a ${B} c ${B}" }, credentials: { bearer: "${TOKEN}" } } }',
      { HOST: 'h', TOKEN: 't${x}', B: 'b' },
    )
    expect(config.servers.a).toMatchObject({
      url: 'http://h:8080/mcp',
      headers: { x: '', y: 'a b c b' },
      credentials: { bearer: 't${x}' },
    })
  })
  test('an empty variable is a value, not a missing one', () => {
    expect(parse('env: "${E}"', { E: '' }).config.env).toBe('')
  })
  test('come from files beside the config, without their last newline', () => {
    expect(loadConfig(join(folder.path, 'weir.yaml'), {}).config.servers.a!.credentials.bearer).toBe(
      'from-a-file',
    )
  })
  test('may name a file by the environment', () => {
    expect(loadConfig(join(folder.path, 'weir.yaml'), {}).folder).toBe(folder.path)
    const text = 'store: { password: "file:${DIR}/token" }'
    expect(parseConfig(text, join(folder.path, 'weir.yaml'), { DIR: 'secrets' }).config.store.password).toBe(
      'from-a-file',
    )
  })
  test('keys are not touched', () => {
    expect(parse('servers: { a: { command: x, env: { "${K}": v } } }').config.servers.a!.env).toEqual({
      '${K}': 'v',
    })
  })
})

describe('paths', () => {
  test('start from the folder of the file', () => {
    const { config } = parse(
      'data: ./d\nservers: { a: { command: x }, b: { command: x, cwd: sub }, c: { command: x, cwd: /abs }, d: { url: http://x/ } }',
    )
    expect(config.data).toBe('/etc/weir/d')
    expect([
      config.servers.a!.cwd,
      config.servers.b!.cwd,
      config.servers.c!.cwd,
      config.servers.d!.cwd,
    ]).toEqual(['/etc/weir', '/etc/weir/sub', '/abs', undefined])
  })
  test('absolute ones stay', () => {
    expect(parse('data: /var/lib/weir').config.data).toBe('/var/lib/weir')
  })
})

describe('defaults', () => {
  test('of an empty file', () => {
    for (const text of ['', '# nothing\n', '{}']) {
      const { config, warnings } = parse(text)
      expect(config).toMatchObject({
        listen: [{ address: '127.0.0.1:7332', trace: {} }],
        instance: hostname(),
        workers: 1,
        data: '/etc/weir/weir-data',
        servers: {},
        callers: {},
        durability: 'normal',
        trace: { incoming: 'parent' },
        capture: { arguments: 'hash', results: 'hash', keep: [] },
        console: { listen: '127.0.0.1:7333' },
        store: { listen: '127.0.0.1:7334', database: 'weir' },
      })
      expect(warnings).toEqual(['no servers are configured: /mcp will be empty'])
    }
  })
  test('of listeners, however they are written', () => {
    const A = { address: '127.0.0.1:1', trace: {} }
    for (const text of [
      'listen: 127.0.0.1:1',
      'listen: [ 127.0.0.1:1 ]',
      'listen: [ { address: 127.0.0.1:1 } ]',
    ])
      expect(parse(text).config.listen).toEqual([A])
    const two = 'listen:\n  - 127.0.0.1:1\n  - { address: "[::1]:2", trace: { incoming: link } }'
    expect(parse(two).config.listen).toEqual([A, { address: '[::1]:2', trace: { incoming: 'link' } }])
  })
  test('of a server', () => {
    expect(parse('servers: { a: { url: http://x/ } }').config.servers.a).toMatchObject({
      timeout_ms: 120_000,
      isolation: 'caller',
      era: 'auto',
      args: [],
      env: {},
      headers: {},
      credentials: {},
    })
  })
  test('the result is frozen to its leaves', () => {
    const { config } = parse('servers: { a: { url: http://x/ } }')
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(frozen))
    expect(frozen(config)).toBe(true)
  })
})

describe('prices of context', () => {
  test('are whole numbers of 10^-12 dollars a token, by team', () => {
    const { context } = parse(
      'context: { usd_per_million_input_tokens: 3.00, teams: { research: 0.0375, free: 0, tiny: 0.000001 } }',
    ).config
    expect(Object.fromEntries(picoPerToken(context))).toEqual({
      '': 3_000_000,
      research: 37_500,
      free: 0,
      tiny: 1,
    })
    expect(picoPerToken(parse('').config.context).size).toBe(0)
  })
  test('admin tokens that travel in the clear are warned of, unless they stay on this machine or there is TLS', () => {
    const admin = (listen: string, tls = ''): string[] =>
      parse(
        `admin: { listen: "${listen}", tokens: [ { name: ci, sha256: ${'a'.repeat(64)} } ]${tls} }`,
      ).warnings.filter((warning) => warning.includes('in the clear'))
    expect(admin('0.0.0.0:7335')).toEqual([
      'admin.listen 0.0.0.0:7335 is beyond this machine and without TLS: admin tokens travel in the clear, and whoever reads one on the way can change who may call. Set admin.tls, or listen on 127.0.0.1 behind a proxy with TLS',
    ])
    expect(admin('127.0.0.1:7335')).toEqual([])
    expect(admin('0.0.0.0:7335', ', tls: { cert: a, key: b }')).toEqual([])
  })
  test('files of TLS are found from the folder of weir.yaml', () => {
    const { admin } = parse('admin: { tls: { cert: tls/a.crt, key: /abs/a.key } }').config
    expect(admin.tls).toMatchObject({ cert: '/etc/weir/tls/a.crt', key: '/abs/a.key' })
  })
  test('a team that nobody belongs to is warned of; a price that is none is refused with what to write', () => {
    expect(parse('context: { teams: { reserch: 3 } }').warnings).toContain(
      'context.teams.reserch: no caller belongs to this team',
    )
    for (const price of ['-1', '0.0000001', 'cheap', '.inf'])
      expect(() => parse(`context: { usd_per_million_input_tokens: ${price} }`), price).toThrow(
        /weir\.yaml:1:\d+ context\.usd_per_million_input_tokens: /,
      )
  })
})

describe('addresses', () => {
  test('host and port', () => {
    expect([hostOf('[::1]:80'), portOf('[::1]:80'), hostOf('0.0.0.0:7332'), portOf('localhost:0')]).toEqual([
      '::1',
      80,
      '0.0.0.0',
      0,
    ])
  })
  test('loopback is told by the address, not by how a name begins', () => {
    for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])
      expect(isLoopback(host), host).toBe(true)
    for (const host of [
      '127.example.com',
      '127.0.0.1.example.com',
      'localhost.example.com',
      '::ffff:127.example',
      '0.0.0.0',
      '10.0.0.1',
      '',
    ])
      expect(isLoopback(host), host).toBe(false)
  })
})

describe('settings of hosted servers', () => {
  test.each([
    ['{ url: "http://x/", instances: 2 }', 'only a server with `command` has instances'],
    ['{ command: x, instances: 2 }', 'isolation: shared'],
    ['{ command: x, instances: 9, isolation: shared, processes_max: 8 }', 'more than processes_max (8)'],
    ['{ command: x, instances: 0, isolation: shared }', 'servers.a.instances'],
    ['{ url: "http://x/", memory_max_bytes: 100000000 }', 'servers.a.memory_max_bytes'],
    ['{ command: x, memory_max_bytes: 5 }', 'servers.a.memory_max_bytes'],
  ])('%s is refused', (server, why) => {
    expect(() => parse(`servers: { a: ${server} }`)).toThrow(why)
  })
  test('instances and a bound on memory', () => {
    const text =
      'servers: { a: { command: x, isolation: shared, instances: 3, memory_max_bytes: 100000000 } }'
    const { config, warnings } = parse(text)
    expect(config.servers.a).toMatchObject({ instances: 3, memory_max_bytes: 100_000_000 })
    // Elsewhere the bound does nothing, and that is said.
    expect(warnings).toHaveLength(process.platform === 'linux' ? 0 : 1)
  })
})
