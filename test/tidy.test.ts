/** The house rules that a machine can check: who may import whom, one owner per library and effect, sizes, strays. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const ROOMS = [
  'event',
  'config',
  'limits',
  'net',
  'supervisor',
  'proxy',
  'store',
  'admin',
  'collector',
  'cli',
  'dashboards',
  'docs',
  'demo',
  'examples',
  'bench',
  'test',
] as const
type Room = (typeof ROOMS)[number]

const sources = [
  ...ROOMS.flatMap((room) => globSync(`${room}/**/*.ts`, { cwd: root })),
  'weir.ts',
  'build.ts',
].map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))

type Import = { file: string; target: string; isType: boolean }

const imports: Import[] = sources.flatMap(({ file, text }) =>
  [
    ...text.matchAll(
      /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm,
    ),
  ].map((m) => {
    const specifier = m[2] ?? m[3]!
    const target = specifier.startsWith('.')
      ? relative(root, join(root, dirname(file), specifier))
      : specifier
    return { file, target, isType: m[1] !== undefined }
  }),
)

/** Which rooms a room may use. What is not listed is forbidden. */
const MAY_USE: Record<Room, readonly string[]> = {
  event: ['event/'],
  config: ['config/', 'event/'],
  // What is counted, and how: pure, for the keeper, the workers and whoever asks what would have been.
  limits: ['limits/', 'config/', 'event/'],
  // What several processes need of the network. Knows no call and no login.
  net: ['net/', 'config/', 'event/'],
  // The supervisor ships the spool, keeps counts and merges the metrics: it knows those two rooms of the proxy, and how each process is started.
  supervisor: [
    'supervisor/',
    'config/',
    'event/',
    'limits/',
    'proxy/spool/',
    'proxy/telemetry/',
    'proxy/options.ts',
    'proxy/pages.ts',
    'proxy/host/options.ts',
    'proxy/host/host.ts',
    'collector/options.ts',
    'store/options.ts',
    'admin/options.ts',
  ],
  // It writes weir.yaml and asks the supervisor to take that over: no store, no calls.
  admin: ['admin/', 'config/', 'event/', 'net/', 'supervisor/link.ts'],
  proxy: ['proxy/', 'config/', 'event/', 'limits/', 'net/', 'supervisor/link.ts'],
  store: ['store/', 'event/', 'supervisor/link.ts'],
  // Of limits only what it is asked for: it enforces none.
  collector: ['collector/', 'config/', 'event/', 'limits/messages.ts', 'net/', 'supervisor/link.ts'],
  // The backtest runs the detectors of the watch in a store of its own.
  cli: [
    'cli/',
    'config/',
    'event/',
    'limits/',
    'net/',
    'supervisor/',
    'collector/queries/',
    'collector/sink/',
    'collector/runs/step.ts',
    'collector/watch/anomaly-backtest/',
    'store/options.ts',
    'proxy/',
  ],
  // Boards ask by SQL and metric names; they are data for Grafana and Prometheus. The console knows the types of the collector's
  // answers, nothing of its code: see the test below.
  dashboards: ['dashboards/', 'event/', 'collector/queries/'],
  docs: ['config/', 'event/'],
  demo: ['demo/', 'cli/', 'collector/queries/', 'supervisor/'],
  examples: ['examples/', 'collector/queries/', 'supervisor/data-folder.ts'],
  bench: ['bench/', 'proxy/', 'event/', 'config/', 'limits/', 'supervisor/', 'collector/', 'store/'],
  test: [''],
}

/** The only places that may import a library. */
const OWNERS: Record<string, RegExp> = {
  '@marcbachmann/cel-js': /^config\/(formula|expression|rule-functions|cel)\.ts$/,
  jose: /^(proxy\/identity\/|collector\/login\/|test\/|bench\/)/,
  'openid-client': /^collector\/login\//,
  'oidc-provider': /^test\//,
  undici: /^(proxy\/(upstream|roof)\/|bench\/|test\/)/,
  ioredis: /^(supervisor\/limits\/fleet\.ts|test\/|bench\/)/,
  'rate-limiter-flexible': /^bench\//,
  chdb: /^(store\/engine\.ts|test\/store\/)/,
  fastify: /^(collector\/|admin\/|test\/)/,
  '@fastify/swagger': /^admin\/api\.ts$/,
  '@clickhouse/client': /^(collector\/(sink|queries)\/|cli\/|test\/|bench\/)/,
  '@opentelemetry/': /^(collector\/|test\/)/,
  'prom-client': /^(collector\/|test\/)/,
  '@modelcontextprotocol/': /^(demo|examples|test|bench)\//,
  yaml: /^(config\/|cli\/|dashboards\/grafana\/build\.ts|test\/)/,
  '@grafana/': /^(dashboards\/|test\/)/,
  preact: /^dashboards\/console\//,
  htm: /^dashboards\/console\//,
  uplot: /^dashboards\/console\//,
  '@tanstack/': /^dashboards\/console\//,
  ajv: /^(proxy\/schema\/|test\/)/,
  re2js: /^(proxy\/schema\/pattern\.ts|config\/|test\/)/,
  zod: /^(config\/|docs\/|examples\/|test\/)/,
}

/** The only places for an effect. */
const EFFECTS: { what: RegExp; where: RegExp; name: string }[] = [
  {
    name: 'process.env',
    what: /\bprocess\.env\b/,
    where:
      /^(config\/load\.ts|proxy\/host\/|store\/(main|engine)\.ts|cli\/|demo\/|examples\/|bench\/|test\/)/,
  },
  {
    name: 'process.exit',
    what: /\bprocess\.exit\(/,
    where: /^(supervisor\/link\.ts|cli\/|build\.ts|bench\/|test\/)/,
  },
  { name: 'console', what: /\bconsole\.\w+\(/, where: /^$/ },
]

const room = (file: string): Room | null => ROOMS.find((r) => file.startsWith(`${r}/`)) ?? null

describe('the house', () => {
  it('keeps imports on the allowed paths', () => {
    const wrong = imports.filter(({ file, target }) => {
      const from = room(file)
      const to = room(target)
      return from !== null && to !== null && !MAY_USE[from].some((allowed) => target.startsWith(allowed))
    })
    expect(wrong.map((i) => `${i.file} → ${i.target}`)).toEqual([])
  })

  it('gives each library one owner', () => {
    const wrong = imports.filter(({ file, target, isType }) => {
      const owner = Object.entries(OWNERS).find(
        ([library]) =>
          target === library || target.startsWith(library.endsWith('/') ? library : `${library}/`),
      )
      return owner && !isType && !owner[1].test(file)
    })
    expect(wrong.map((i) => `${i.file} → ${i.target}`)).toEqual([])
  })

  it('gives the browser types of the collector, and nothing of Node', () => {
    const wrong = imports.filter(
      ({ file, target, isType }) =>
        file.startsWith('dashboards/console/') &&
        !isType &&
        (target.startsWith('collector/') || target.startsWith('node:')),
    )
    expect(wrong.map((i) => `${i.file} → ${i.target}`)).toEqual([])
  })

  it('keeps stages and transports apart', () => {
    const sideways = imports.filter(
      ({ file, target }) => file.startsWith('proxy/stages/') && target.startsWith('proxy/stages/'),
    )
    expect(sideways.map((i) => `${i.file} → ${i.target}`)).toEqual([])
  })

  it.each(EFFECTS)('keeps $name where it belongs', ({ what, where }) => {
    const wrong = sources.filter(
      ({ file, text }) => !where.test(file) && what.test(text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')),
    )
    expect(wrong.map((s) => s.file)).toEqual([])
  })

  it('keeps every product file within 420 lines and free of forbidden marks', () => {
    const long = sources.filter(
      ({ file, text }) => !file.startsWith('test/') && text.split('\n').length > 421,
    )
    expect(long.map((s) => `${s.file}: ${s.text.split('\n').length}`)).toEqual([])
    const marked = sources.filter(
      ({ file, text }) => file !== 'test/tidy.test.ts' && /\b(FIXME|XXX)\b|TODO(?!\(#\d+\))/.test(text),
    )
    expect(marked.map((s) => s.file)).toEqual([])
  })

  it('opens every product file with what it is for', () => {
    const bare = sources.filter(
      ({ file, text }) => !file.startsWith('test/') && !/^(#!.*\n)?(import .*\n)?\/\*\*/.test(text),
    )
    expect(bare.map((s) => s.file)).toEqual([])
  })

  it('runs or imports every file under test/', () => {
    const used = new Set(imports.map((i) => i.target))
    const strays = sources.filter(
      ({ file, text }) =>
        file.startsWith('test/') &&
        !file.endsWith('.test.ts') &&
        !used.has(file) &&
        !sources.some((s) => s.file !== file && s.text.includes(file.split('/').pop()!)) &&
        !text.startsWith('#!'),
    )
    expect(strays.map((s) => s.file)).toEqual([])
  })
})
