/**
 * Bad config files: each problem at its place, in words a stranger understands, with what to write instead. And the same
 * from outside: the exit code and what stands on standard error.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../../config/load.ts'
import { ROOT } from '../e2e/support/observed.ts'
import { type Folder, makeFolder } from '../support/folder.ts'

const HASH = 'a'.repeat(64)
const KNOWN =
  'listen, instance, env, data, workers, servers, callers, auth, teams, prices, budgets, rules, limits, limits_store, labels, trace, runs, capture, validation, context, http, roof, durability, spool, collector, console, store, retention, anomalies, export, alerts, slos, admin, log'
const MAPPING = 'write a mapping (name: value)'
const BAD_URL =
  'expected an http://, https://, ws:// or wss:// URL\n    fix: write something like https://example.com/mcp'
const BAD_NAME =
  'a server name is 1 to 40 letters, digits and "-" and begins with a letter or digit\n    fix: write something like my-server'
const BAD_HASH =
  'expected 64 lower-case hex digits, the SHA-256 of the key\n    fix: write something like the output of: printf %s "$KEY" | sha256sum'
const BAD_DAY =
  'has the wrong form\n    fix: write a day (2027-01-31), or a moment with its zone (2027-01-31T12:00:00Z)'
const OPEN =
  'listening beyond this machine without `callers` would let anyone in\n    fix: add callers with keys, or auth.oauth, or listen on 127.0.0.1'

/** File and the problem it must be told, from its line on. */
const FILES: Record<string, [text: string, ...problems: string[]]> = {
  'an unknown key': [
    'lisen: 127.0.0.1:1',
    '1:1 lisen: there is no such setting\n    fix: did you mean `listen`?',
  ],
  'an unknown key of a server': [
    'servers:\n  a: { url: http://x/, timout_ms: 5 }',
    '2:24 servers.a.timout_ms: there is no such setting\n    fix: did you mean `timeout_ms`?',
  ],
  'a key like no other': ['zzzzzz: 1', `1:1 zzzzzz: there is no such setting\n    fix: known here: ${KNOWN}`],
  'a short key like no other': ['foo: 1', `1:1 foo: there is no such setting\n    fix: known here: ${KNOWN}`],
  'a key of the prototype': [
    '__proto__: 1',
    '1:1 __proto__: is no name for anything\n    fix: choose another name',
  ],
  'a text for a number': [
    'workers: many',
    '1:10 workers: takes a number, but this is a text\n    fix: write a number',
  ],
  'a unit in a number': [
    'servers: { a: { url: http://x/, timeout_ms: 5s } }',
    '1:45 servers.a.timeout_ms: takes a number, but this is a text\n    fix: write a number',
  ],
  'half a worker': ['workers: 1.5', '1:10 workers: is not a whole number\n    fix: write a whole number'],
  'a negative number': ['workers: -1', '1:10 workers: is too small\n    fix: write 1 or more'],
  'too many': ['workers: 1000', '1:10 workers: is too large\n    fix: write 64 or less'],
  'a zero timeout': [
    'servers: { a: { url: http://x/, timeout_ms: 0 } }',
    '1:45 servers.a.timeout_ms: is too small\n    fix: write 1 or more',
  ],
  'a number for a text': [
    'servers: { a: { command: x, env: { A: 1 } } }',
    '1:39 servers.a.env.A: takes a text, but to YAML this is a number\n    fix: put it in quotes',
  ],
  'a secret that YAML reads as a number is not shown': [
    'servers: { a: { url: http://x/, credentials: { bearer: 48151623 } } }',
    '1:56 servers.a.credentials.bearer: takes a text, but to YAML this is a number\n    fix: put it in quotes',
  ],
  'a text for true': [
    'capture: { keep: [ { tools: x, arguments: yes please } ] }',
    '1:43 capture.keep[0].arguments: takes true or false, but this is a text\n    fix: write true or false',
  ],
  'no port': [
    'listen: localhost',
    '1:9 listen: expected host:port\n    fix: write something like 127.0.0.1:7332',
  ],
  'a port alone': [
    'listen: 7332',
    '1:9 listen: expected host:port, or a list of listeners\n    fix: write something like 127.0.0.1:7332',
  ],
  'a port too high': [
    'listen: 127.0.0.1:99999',
    '1:9 listen: the port is above 65535\n    fix: write something like 127.0.0.1:7332',
  ],
  'a URL to listen on': [
    'listen: http://127.0.0.1:7332',
    '1:9 listen: expected host:port\n    fix: write something like 127.0.0.1:7332',
  ],
  'two listeners at one address': [
    'console: { listen: 127.0.0.1:7334 }',
    '1:1 store.listen: 127.0.0.1:7334 is already used by `console.listen`\n    fix: give each listener a port of its own',
  ],
  'no listener': ['listen: []', '1:9 listen: is an empty list\n    fix: write at least one entry'],
  'a listener without a port': [
    'listen:\n  - 127.0.0.1:7332\n  - localhost',
    '3:5 listen[1]: expected host:port\n    fix: write something like 127.0.0.1:7332',
  ],
  'a listener that is a number': [
    'listen:\n  - 7332',
    '2:5 listen[0]: expected host:port, or a mapping with `address`\n    fix: write something like 127.0.0.1:7332',
  ],
  'a listener without an address': [
    'listen:\n  - trace: { incoming: link }',
    '2:5 listen[0].address: is missing\n    fix: write a text',
  ],
  'a mapping for listeners': [
    'listen: { address: 127.0.0.1:7332 }',
    '1:9 listen: expected host:port, or a list of listeners\n    fix: write something like 127.0.0.1:7332',
  ],
  'a word that listeners do not know': [
    'listen:\n  - { address: 127.0.0.1:7332, adress: x, trace: { incomming: link } }',
    '2:52 listen[0].trace.incomming: there is no such setting\n    fix: did you mean `incoming`?',
    '2:32 listen[0].adress: there is no such setting\n    fix: did you mean `address`?',
  ],
  'a rule that listeners do not know': [
    'listen:\n  - { address: 127.0.0.1:7332, trace: { incoming: never } }',
    '2:51 listen[0].trace.incoming: is not one of the possible values\n    fix: write one of: parent, link, ignore',
  ],
  'a listener twice': [
    'listen:\n  - 127.0.0.1:7332\n  - { address: 127.0.0.1:7332 }',
    '3:5 listen[1]: 127.0.0.1:7332 is already used by `listen[0]`\n    fix: give each listener a port of its own',
  ],
  'one of two open to everyone': ['listen: [ 127.0.0.1:7332, 0.0.0.0:7335 ]', `1:27 listen[1]: ${OPEN}`],
  'open to everyone': ['listen: 0.0.0.0:7332', `1:1 listen: ${OPEN}`],
  'open by a name that looks like loopback': ['listen: 127.example.com:7332', `1:1 listen: ${OPEN}`],
  'an environment variable that is not set': [
    'servers: { a: { url: http://x/, credentials: { bearer: "${NOPE}" } } }',
    '1:56 the environment variable NOPE is not set\n    fix: export NOPE=…, or write ${NOPE:-default}',
  ],
  'a secret file that is not there': [
    'servers: { a: { url: http://x/, credentials: { bearer: "file:./nope" } } }',
    '1:56 the file /w/nope cannot be read (ENOENT)\n    fix: check the path after file: and its permissions',
  ],
  'a server twice': [
    'servers:\n  a: { url: http://x/ }\n  a: { url: http://y/ }',
    '3:3 this name is there twice\n    fix: give each entry its own name',
  ],
  'a server twice but for its case': [
    'servers:\n  a: { url: http://x/ }\n  A: { url: http://y/ }',
    '3:3 servers.A: differs from `a` only in case\n    fix: choose names that differ',
  ],
  'a server name with _': ['servers:\n  a_b: { url: http://x/ }', `2:8 servers.a_b: ${BAD_NAME}`],
  'a server name with a slash': ['servers:\n  a/b: { url: http://x/ }', `2:8 servers.a/b: ${BAD_NAME}`],
  'an empty server name': ['servers:\n  "": { url: http://x/ }', `2:7 servers.: ${BAD_NAME}`],
  'not a URL': ['servers: { a: { url: not-a-url } }', `1:22 servers.a.url: ${BAD_URL}`],
  'a URL of another kind': ['servers: { a: { url: ftp://x/ } }', `1:22 servers.a.url: ${BAD_URL}`],
  'a URL with a broken password': [
    'servers: { a: { url: "http://u:p%zz@x/" } }',
    `1:22 servers.a.url: ${BAD_URL}`,
  ],
  'url and command': [
    'servers: { a: { url: http://x/, command: y } }',
    '1:15 servers.a: a server has either `url` or `command` (stdio)\n    fix: write something like url: https://example.com/mcp',
  ],
  'neither url nor command': [
    'servers: { a: { timeout_ms: 5 } }',
    '1:15 servers.a: a server has either `url` or `command` (stdio)\n    fix: write something like url: https://example.com/mcp',
  ],
  'a transport that is none': [
    'servers: { a: { url: http://x/, transport: grpc } }',
    '1:44 servers.a.transport: is not one of the possible values\n    fix: write one of: http, sse, websocket',
  ],
  'a transport for a command': [
    'servers: { a: { command: y, transport: sse } }',
    '1:40 servers.a.transport: a server with `command` is spoken to over stdio and takes no `transport`\n    fix: write something like command: npx -y @modelcontextprotocol/server-memory',
  ],
  'websocket at an http URL': [
    'servers: { a: { url: http://x/, transport: websocket } }',
    '1:44 servers.a.transport: transport websocket needs a ws:// or wss:// URL\n    fix: write something like url: wss://example.com/mcp',
  ],
  'http at a websocket URL': [
    'servers: { a: { url: ws://x/, transport: http } }',
    '1:42 servers.a.transport: transport http needs an http:// or https:// URL\n    fix: write something like url: https://example.com/mcp',
  ],
  'a server that is a text': [
    'servers: { a: http://x/ }',
    `1:15 servers.a: takes a mapping (name: value), but this is a text\n    fix: ${MAPPING}`,
  ],
  'a server without anything': [
    'servers:\n  a:',
    `2:5 servers.a: is empty; it takes a mapping (name: value)\n    fix: ${MAPPING}, or remove the line`,
  ],
  'servers as a list': [
    'servers: [ { url: http://x/ } ]',
    `1:10 servers: takes a mapping (name: value), but this is a list\n    fix: ${MAPPING}`,
  ],
  'an empty command': [
    'servers: { a: { command: "" } }',
    '1:26 servers.a.command: is empty\n    fix: write a text',
  ],
  'a command that is a number': [
    'servers: { a: { command: 5 } }',
    '1:26 servers.a.command: has the wrong form\n    fix: write a text, or a list ([a, b])',
  ],
  'a section without anything': [
    'http:',
    `1:6 http: is empty; it takes a mapping (name: value)\n    fix: ${MAPPING}, or remove the line`,
  ],
  'a bad hash': [
    'callers: { a: { keys: [ { sha256: abc } ] } }',
    `1:35 callers.a.keys[0].sha256: ${BAD_HASH}`,
  ],
  'an upper-case hash': [
    `callers: { a: { keys: [ { sha256: ${HASH.toUpperCase()} } ] } }`,
    `1:35 callers.a.keys[0].sha256: ${BAD_HASH}`,
  ],
  'a hash of two callers': [
    `callers: { a: { keys: [ { sha256: ${HASH} } ] }, b: { keys: [ { sha256: ${HASH} } ] } }`,
    '1:122 callers.b.keys[0].sha256: the same key already belongs to a\n    fix: give each caller keys of its own',
  ],
  'a token server over plain HTTP': [
    'auth: { public_url: "https://w.example", oauth: [ { issuer: "http://login.example" } ] }',
    '1:61 auth.oauth[0].issuer: expected an https:// URL without user, query and fragment (http:// on loopback only)\n    fix: write something like https://login.example.com',
  ],
  'an algorithm that whoever checks could sign with': [
    'auth: { public_url: "https://w.example", oauth: [ { issuer: "https://login.example", algorithms: [HS256] } ] }',
    '1:99 auth.oauth[0].algorithms[0]: is not one of the possible values\n    fix: write one of: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519',
  ],
  'a token server without an audience': [
    'auth: { oauth: [ { issuer: "https://login.example" } ] }',
    '1:18 auth.oauth[0]: it is not said what its tokens for Weir name as audience\n    fix: set auth.public_url, or audience of this server',
  ],
  'a token server twice': [
    'auth: { oauth: [ { issuer: "https://a.example", audience: x }, { issuer: "https://a.example", audience: x } ] }',
    '1:66 auth.oauth[1].issuer: https://a.example is listed twice\n    fix: list each authorization server once',
  ],
  'two logins to the console at one address': [
    'callers: { a: {} }\nauth: { public_url: "https://w.example", oauth: [ { issuer: "https://a.example", console: { client_id: c } }, { issuer: "https://b.example", console: { client_id: c } } ] }',
    '2:142 auth.oauth[1].console.id: the login at https://a.example is called sso, too\n    fix: give each an id of its own, for example id: partners',
  ],
  'a login to the console for nobody': [
    'auth: { oauth: [ { issuer: "https://a.example", callers: [], console: { client_id: c } } ] }',
    '1:62 auth.oauth[0].console: nobody may log in\n    fix: say who with `callers` of this login, for example callers: ["*@example.com"]',
  ],
  'a login to a console beyond this machine that leads nowhere': [
    'callers: { a: {} }\nconsole: { listen: "0.0.0.0:7333" }\nauth: { public_url: "https://w.example", oauth: [ { issuer: "https://a.example", console: { client_id: c } } ] }',
    '3:82 auth.oauth[0].console: it is not said where browsers reach the console, to which the login leads back\n    fix: set console.public_url, for example https://weir.example.com',
  ],
  'a login to the console in the place of callers': [
    'listen: 0.0.0.0:7332\nauth: { oauth: [ { issuer: "https://a.example", callers: [], console: { client_id: c, callers: ["*"] } } ] }',
    '1:1 listen: listening beyond this machine without `callers` would let anyone in\n    fix: add callers with keys, or auth.oauth, or listen on 127.0.0.1',
  ],
  'a console whose name is not safe': [
    'console: { public_url: "http://weir.example.com" }',
    '1:24 console.public_url: expected an https:// URL without user, query and fragment (http:// on loopback only)\n    fix: write something like https://login.example.com',
  ],
  'a login that asks for openid twice': [
    'callers: { a: {} }\nauth: { public_url: "https://w.example", oauth: [ { issuer: "https://a.example", console: { client_id: c, scopes: [openid] } } ] }',
    '2:116 auth.oauth[0].console.scopes[0]: openid is always asked for\n    fix: write something like email',
  ],
  'an admin API that asks for certificates that nobody has to show': [
    `admin: { tls: { cert: a, key: b, client_ca: c, client_auth: optional } }`,
    '1:48 admin.tls.client_auth: optional lets in whoever shows no certificate, and the admin API knows nobody by one\n    fix: write client_auth: required, or leave it out',
  ],
  'client certificates without an authority': [
    'listen: [ { address: "127.0.0.1:1", tls: { cert: a, key: b, client_auth: required } } ]',
    '1:74 listen[0].tls.client_auth: client_auth: required needs `client_ca`, the authorities to trust\n    fix: write something like client_ca: tls/clients-ca.crt',
  ],
  'a private key in the file': [
    'listen: [ { address: "127.0.0.1:1", tls: { cert: a, key: "-----BEGIN PRIVATE KEY-----" } } ]',
    '1:58 listen[0].tls.key: expected a path, without file: before it\n    fix: write something like tls/weir.crt',
  ],
  'a certificate of two callers': [
    'callers: { a: { certificates: [ { san: "DNS:X.example" } ] }, b: { certificates: [ { san: "DNS:x.example" } ] } }',
    '1:86 callers.b.certificates[0].san: the same name already belongs to a\n    fix: give each caller certificates of its own',
  ],
  'a day that is none': [
    `callers: { a: { keys: [ { sha256: ${HASH}, expires: 2027-13-40 } ] } }`,
    `1:110 callers.a.keys[0].expires: ${BAD_DAY}`,
  ],
  'a short token': [
    'collector: { token: short }',
    '1:21 collector.token: is too short\n    fix: write 16 characters or more',
  ],
  'a word that is not one of the possible': [
    'capture: { redact: [emails] }',
    '1:21 capture.redact[0]: is not one of the possible values\n    fix: write one of: email, card, iban, secret, phone, ip',
  ],
  'YAML that does not end': [
    'servers:\n  a: { url: http://x/',
    '2:22 not valid YAML: Flow map in block collection must be sufficiently indented and end with a }\n    fix: check indentation, quotes and colons on this line',
  ],
  'a tab': ['servers:\n\ta: 1', '2:1 not valid YAML: a tab indents this line\n    fix: indent with spaces'],
  'wrong indentation': [
    'servers:\n  a:\n url: x',
    '2:5 not valid YAML: All mapping items must start at the same column\n    fix: check indentation, quotes and colons on this line',
  ],
  'an alias to nothing': [
    'listen: *nope',
    '1:9 there is no anchor &nope before this\n    fix: define the anchor first, or put a text that starts with * in quotes',
  ],
  'aliases that multiply': [
    `a: &a [${'x,'.repeat(20)}]\nb: &b [${'*a,'.repeat(20)}]\nc: [${'*b,'.repeat(20)}]`,
    '1:1 its aliases (*name) stand for more than can be read\n    fix: write out what they stand for',
  ],
  'a caller that would be left out without a word': [
    'callers: { __proto__: { team: a } }',
    '1:12 __proto__: is no name for anything\n    fix: choose another name',
  ],
  'a caller with a line break in its name': [
    'callers: { "a\\nb": {} }',
    '1:20 callers.a\nb: expected a name of up to 100 characters on one line, without space around it\n    fix: write something like rm-agent',
  ],
  'two documents': [
    'listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2',
    '2:1 a second document begins here\n    fix: keep one document: remove the line ---',
  ],
  'a list as the whole': [
    '- a\n- b',
    `1:1 takes a mapping (name: value), but this is a list\n    fix: ${MAPPING}`,
  ],
  'a text as the whole': [
    'hello',
    `1:1 takes a mapping (name: value), but this is a text\n    fix: ${MAPPING}`,
  ],
  'several problems at once': [
    'workers: 0\nlisten: x\nfoo: 1',
    '2:9 listen: expected host:port\n    fix: write something like 127.0.0.1:7332',
    '1:10 workers: is too small\n    fix: write 1 or more',
    `3:1 foo: there is no such setting\n    fix: known here: ${KNOWN}`,
  ],
}

describe('a bad weir.yaml is told by place, problem and fix', () => {
  for (const [name, [text, ...problems]] of Object.entries(FILES))
    test(name, () => {
      let thrown: unknown
      try {
        parseConfig(text, '/w/weir.yaml', {})
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBeInstanceOf(ConfigError)
      expect((thrown as Error).message).toBe(problems.map((p) => `/w/weir.yaml:${p}`).join('\n'))
    })
})

describe('weir up with a bad config', () => {
  let folder: Folder
  beforeAll(() => {
    folder = makeFolder('bad-config')
  })
  afterAll(() => folder?.remove())

  /** Runs `weir up` to its end. */
  function up(
    config: string | null,
    argv: string[] = ['--config', 'weir.yaml'],
  ): Promise<{ code: number | null; out: string; err: string }> {
    if (config !== null) writeFileSync(join(folder.path, 'weir.yaml'), config)
    return new Promise((resolve) => {
      const child = spawn(process.execPath, [join(ROOT, 'weir.ts'), 'up', ...argv], {
        cwd: folder.path,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let out = ''
      let err = ''
      child.stdout.on('data', (chunk) => (out += chunk))
      child.stderr.on('data', (chunk) => (err += chunk))
      child.once('close', (code) => resolve({ code, out, err }))
    })
  }
  const file = (): string => join(folder.path, 'weir.yaml')
  const quiet = (more: string): string =>
    `console: { listen: 127.0.0.1:0 }\nstore: { listen: 127.0.0.1:0 }\n${more}`

  test('a file that is not there', async () => {
    const { code, err } = await up(null, ['--config', 'elsewhere.yaml'])
    expect(code).toBe(1)
    expect(err).toBe(
      `${join(folder.path, 'elsewhere.yaml')}:1:1 there is no such file\n    fix: write one with \`weir init\`, or name another with --config\n`,
    )
  })
  test('a folder instead of a file', async () => {
    const { code, err } = await up(null, ['--config', '.'])
    expect([code, err]).toEqual([
      1,
      `${folder.path}:1:1 cannot be read: EISDIR: illegal operation on a directory, read\n    fix: check its permissions\n`,
    ])
  })
  test('an unknown setting', async () => {
    const { code, out, err } = await up('lisen: 127.0.0.1:0')
    expect([code, out, err]).toEqual([
      1,
      '',
      `${file()}:1:1 lisen: there is no such setting\n    fix: did you mean \`listen\`?\n`,
    ])
  })
  test('an unknown option', async () => {
    const { code, err } = await up('', ['--confg', 'x'])
    expect(code).toBe(2)
    expect(err).toContain("Unknown option '--confg'")
    expect(err).toContain('usage: weir up')
  })
  test('a port that is taken', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    const { port } = holder.address() as { port: number }
    const { code, err } = await up(quiet(`listen: 127.0.0.1:${port}`))
    holder.close()
    expect(code).toBe(1)
    expect(err).toContain(`weir: the port ${port} is already in use\n  fix: stop the program that uses it`)
  })
  test('a port of a second listener that is taken', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    const { port } = holder.address() as { port: number }
    const { code, err } = await up(quiet(`listen: [ 127.0.0.1:0, { address: 127.0.0.1:${port} } ]`))
    holder.close()
    expect(code).toBe(1)
    expect(err).toContain(`weir: the port ${port} is already in use\n  fix: stop the program that uses it`)
  })
  test('an address of another machine', async () => {
    const { code, err } = await up(
      quiet(`listen: 203.0.113.7:7332\ncallers: { a: { keys: [ { sha256: ${HASH} } ] } }`),
    )
    expect(code).toBe(1)
    expect(err).toContain(
      'weir: the address 203.0.113.7 is not one of this machine\n  fix: listen on 127.0.0.1 or 0.0.0.0',
    )
  })
  test('a data folder that is a file', async () => {
    writeFileSync(join(folder.path, 'a-file'), '')
    const { code, err } = await up(quiet('listen: 127.0.0.1:0\ndata: ./a-file'))
    expect(code).toBe(1)
    expect(err).toContain(`weir: the data folder ${join(folder.path, 'a-file')} cannot be used:`)
    expect(err).toContain('fix: check its permissions, or set `data` to another folder')
  })
})
