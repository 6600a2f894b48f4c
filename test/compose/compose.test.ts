/**
 * docker-compose.yml cannot be started by tests, so it is read: by the library of Docker Compose itself where Go is there (schema,
 * interpolation, references), and by the rules below everywhere. What it mounts must exist, what it says must fit what
 * Weir, Grafana and Prometheus are told in the mounted files, and Weir must really start from its config.
 */
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { parseConfig } from '../../config/load.ts'
import { type Running, scratchFolder, startStore, WRITER } from '../collector/support/processes.ts'
import { startWeir, type Weir } from '../support/installation.ts'

const run = promisify(execFile)
const ROOT = join(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

type Service = {
  image?: string
  build?: { context: string; target: string }
  command?: string[]
  environment?: Record<string, string>
  volumes?: string[]
  configs?: { source: string; target: string }[]
  ports?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { test: string[]; retries: number; interval: string; timeout: string }
  profiles?: string[]
}
type Compose = {
  services: Record<string, Service>
  configs: Record<string, { content: string }>
  volumes: Record<string, unknown>
}
const compose = parse(read('docker-compose.yml')) as Compose
const services = Object.entries(compose.services)
/** `${NAME:-default}` with nothing set. */
const withDefaults = (text: string): string => text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1')
const environment = (name: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(compose.services[name]!.environment ?? {}).map(([key, value]) => [
      key,
      withDefaults(value),
    ]),
  )
const dockerfile = read('Dockerfile')

describe('docker-compose.yml', () => {
  it('has everything the picture needs', () => {
    expect(Object.keys(compose.services).sort()).toEqual([
      'alertmanager',
      'clickhouse',
      'everything',
      'grafana',
      'k6',
      'prometheus',
      'redis',
      'weir',
    ])
    expect(services.filter(([, s]) => s.profiles).map(([name]) => name)).toEqual(['k6'])
  })

  it('pins every image, here and in the Dockerfile', () => {
    const images = [
      ...services.map(([, s]) => s.image!),
      ...[...dockerfile.matchAll(/^FROM (\S+)/gm)].map((m) => m[1]!).filter((name) => name.includes(':')),
    ]
    expect(images.length).toBeGreaterThan(9)
    for (const image of images) expect(image, image).toMatch(/^[\w./-]+:v?\d+\.\d+[\w.-]*$/)
    const stages = [...dockerfile.matchAll(/ AS ([\w-]+)$/gm)].map((m) => m[1])
    for (const [name, { build }] of services)
      if (build) expect(stages, `${name} is built from a stage of the Dockerfile`).toContain(build.target)
    for (const [, from] of dockerfile.matchAll(/--from=([\w-]+)/g)) expect(stages).toContain(from)
  })

  it('checks the health of everything that stays, and waits for health where it depends', () => {
    for (const [name, service] of services) {
      if (!service.profiles) {
        expect(service.healthcheck?.test[0], name).toBe('CMD')
        expect(service.healthcheck?.retries, name).toBeGreaterThan(2)
      }
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(compose.services[other], `${name} depends on ${other}`).toBeDefined()
        expect(condition).toBe('service_healthy')
      }
    }
  })

  it('mounts only what exists, read-only, or a volume it declares', () => {
    const used = new Set<string>()
    for (const [name, service] of services) {
      for (const volume of service.volumes ?? []) {
        const [source, target, mode] = volume.split(':')
        expect(target, name).toMatch(/^\//)
        if (source!.startsWith('./')) {
          expect(existsSync(join(ROOT, source!)), `${name} mounts ${source}`).toBe(true)
          expect(mode, `${name} mounts ${source}`).toBe('ro')
          // A file mounted to a folder, or the reverse, starts nothing.
          expect(/\.\w+$/.test(target!), `${name} mounts ${source}`).toBe(
            statSync(join(ROOT, source!)).isFile(),
          )
        } else {
          expect(Object.keys(compose.volumes), `${name} uses the volume ${source}`).toContain(source)
          used.add(source!)
        }
      }
      for (const { source } of service.configs ?? [])
        expect(Object.keys(compose.configs), name).toContain(source)
    }
    expect([...used].sort()).toEqual(Object.keys(compose.volumes).sort())
  })

  it('publishes ports on loopback only, none twice', () => {
    const ports = services.flatMap(([, s]) => s.ports ?? [])
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/)
    expect(new Set(ports).size).toBe(ports.length)
  })
})

describe('what the services are told', () => {
  const config = () => {
    const { config } = parseConfig(
      read('dashboards/compose/weir.yaml'),
      '/etc/weir/weir.yaml',
      environment('weir'),
    )
    return { ...config, listen: config.listen[0]!.address }
  }

  it('is a config that Weir takes, with the addresses, names and passwords of the others', () => {
    const { listen, console: collector, store, servers, data } = config()
    const published = compose.services.weir!.ports!.map((p) => p.split(':').at(-1))
    expect([listen, collector.listen].map((a) => a.split(':').at(-1))).toEqual(published)
    expect([listen, collector.listen].every((a) => a.startsWith('0.0.0.0:'))).toBe(true)
    const clickhouse = environment('clickhouse')
    expect(store).toMatchObject({
      url: 'http://clickhouse:8123',
      user: clickhouse.CLICKHOUSE_USER,
      password: clickhouse.CLICKHOUSE_PASSWORD,
      database: clickhouse.CLICKHOUSE_DB,
    })
    for (const server of Object.values(servers))
      expect(compose.services).toHaveProperty(new URL(server.url!).hostname)
    expect(compose.services.weir!.volumes).toContain(`weir-data:${data}`)
    expect(new URL(servers.everything!.url!).port).toBe(/ENV PORT=(\d+)/.exec(dockerfile)?.[1])
    // Nothing is set that nobody reads.
    const text = read('dashboards/compose/weir.yaml')
    for (const key of Object.keys(compose.services.weir!.environment!)) expect(text).toContain(`\${${key}}`)
  })

  it('lets in the keys that k6 and Prometheus send', () => {
    const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex')
    const { agent, metrics } = config().callers
    expect(agent!.keys[0]!.sha256).toBe(sha256(environment('k6').WEIR_KEY!))
    expect(metrics!.keys[0]!.sha256).toBe(sha256(withDefaults(compose.configs['metrics-key']!.content)))
    expect(read('docker-compose.yml')).toContain(`key: ${environment('k6').WEIR_KEY}`)
  })

  it('sends k6 to a script and an endpoint that exist', () => {
    const k6 = compose.services.k6!
    const script = k6.command!.at(-1)!
    const mount = k6.volumes![0]!.split(':')
    expect(existsSync(join(ROOT, mount[0]!, script.replace(`${mount[1]}/`, '')))).toBe(true)
    const url = new URL(environment('k6').WEIR_URL!)
    expect(url.port).toBe(config().listen.split(':').at(-1))
    expect(config().servers).toHaveProperty(url.pathname.split('/')[2]!)
    const scripts = read('bench/k6/mcp.js') + read('bench/k6/README.md')
    for (const key of Object.keys(k6.environment!)) expect(scripts).toContain(key)
  })

  it('gives Grafana what its files ask for, and boards where the provider looks', () => {
    const given = environment('grafana')
    const source = read('dashboards/grafana/provisioning/datasources/weir.yaml')
    const contacts = read('dashboards/grafana/provisioning/alerting/contact-points.yaml')
    const asked = [...(source + contacts).matchAll(/\$\{(\w+)\}/g)].map((m) => m[1]!)
    expect(Object.keys(given)).toEqual(expect.arrayContaining(asked))
    expect(
      Object.keys(given)
        .filter((key) => key.startsWith('WEIR_'))
        .sort(),
    ).toEqual([...new Set(asked)].sort())
    expect([given.WEIR_STORE_HOST, given.WEIR_STORE_PORT]).toEqual(['clickhouse', '8123'])
    expect(given.WEIR_STORE_PASSWORD).toBe(environment('clickhouse').WEIR_READER_PASSWORD)
    expect(read('dashboards/compose/clickhouse/users.xml')).toContain(`<${given.WEIR_STORE_USER}>`)
    const { providers } = parse(read('dashboards/grafana/provisioning/dashboards/weir.yaml')) as {
      providers: { options: { path: string } }[]
    }
    const boards = compose.services.grafana!.volumes!.filter((v) =>
      v.includes(`:${providers[0]!.options.path}/`),
    )
    expect(boards).toHaveLength(2)
    const home = given.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH!
    const folder = boards.map((v) => v.split(':')).find(([, target]) => home.startsWith(target!))!
    expect(existsSync(join(ROOT, home.replace(folder[1]!, folder[0]!)))).toBe(true)
    for (const key of ['WEIR_PROMETHEUS_URL', 'WEIR_ALERTMANAGER_URL'])
      expect(compose.services).toHaveProperty(new URL(given[key]!).hostname)
  })

  it('lets Prometheus scrape Weir, and reach its rules, its key and the Alertmanager', () => {
    const prometheus = parse(read('dashboards/prometheus/prometheus.yml')) as {
      rule_files: string[]
      alerting: { alertmanagers: { static_configs: { targets: string[] }[] }[] }
      scrape_configs: {
        authorization: { credentials_file: string }
        static_configs: { targets: string[] }[]
      }[]
    }
    const { volumes, configs } = compose.services.prometheus!
    for (const file of prometheus.rule_files)
      expect(volumes).toContain(`./dashboards/prometheus/${file}:/etc/prometheus/${file}:ro`)
    const { listen, console: collector } = config()
    const targets = prometheus.scrape_configs.flatMap((s) => s.static_configs.flatMap((c) => c.targets))
    expect(targets).toEqual([listen, collector.listen].map((a) => `weir:${a.split(':').at(-1)}`))
    for (const scrape of prometheus.scrape_configs)
      expect(configs!.map((c) => c.target)).toContain(scrape.authorization.credentials_file)
    const manager = prometheus.alerting.alertmanagers[0]!.static_configs[0]!.targets[0]!
    expect(compose.services).toHaveProperty(manager.split(':')[0]!)
    const file = /url_file: (\S+)/.exec(read('dashboards/prometheus/alertmanager.yml'))![1]
    expect(compose.services.alertmanager!.configs!.map((c) => c.target)).toContain(file)
  })

  it('keeps the logs of the ClickHouse server small', () => {
    const text = read('dashboards/compose/clickhouse/config.xml')
    for (const log of [
      'trace_log',
      'text_log',
      'metric_log',
      'asynchronous_metric_log',
      'processors_profile_log',
    ])
      expect(text).toContain(`<${log} remove="1"/>`)
    for (const log of ['query_log', 'part_log']) expect(text).toMatch(new RegExp(`<${log}>\\s*<ttl>`))
  })

  it('builds what the package has, in an image that is not root', () => {
    const { scripts, devDependencies } = JSON.parse(read('package.json')) as {
      scripts: Record<string, string>
      devDependencies: Record<string, string>
    }
    for (const [, script] of dockerfile.matchAll(/npm run (\w+)/g)) expect(scripts).toHaveProperty(script!)
    const version = /server-everything@(\S+)/.exec(dockerfile)![1]
    expect(devDependencies['@modelcontextprotocol/server-everything']).toBe(version)
    for (const stage of dockerfile.split(/^FROM /m).slice(1))
      if (/^(CMD|ENTRYPOINT)/m.test(stage)) expect(stage).toMatch(/^USER (?!root)\w+/m)
    for (const [, files] of dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm))
      for (const file of files!.split(' ')) expect(existsSync(join(ROOT, file)), file).toBe(true)
  })
})

describe('the config of Weir', () => {
  let server: Running | undefined
  let weir: Weir | undefined
  const folder = scratchFolder()
  afterAll(async () => {
    await weir?.remove()
    await server?.drain()
    folder.remove()
  }, 90_000)

  it('starts a Weir that writes to a ClickHouse elsewhere, and shows metrics to the key of Prometheus alone', async () => {
    server = await startStore(folder.path)
    const raw = parse(read('dashboards/compose/weir.yaml')) as Record<string, object>
    const env = environment('weir')
    // Other addresses, user and folder, as they are here; all else as in the file.
    const { listen: _, data: __, console: ___, ...config } = raw
    weir = await startWeir({
      config: {
        ...config,
        store: { ...raw.store, url: server.address, user: WRITER.user, password: WRITER.password },
      },
      env: { ...env, WEIR_STORE_PASSWORD: WRITER.password },
    })
    await weir.storing()
    expect(weir.addresses.store).toBe('')
    const key = withDefaults(compose.configs['metrics-key']!.content)
    const agent = environment('k6').WEIR_KEY!
    const call = (bearer: string): Promise<Response> =>
      fetch(`${weir!.addresses.proxy}/servers/everything/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${bearer}`,
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
      })
    expect((await call('nobody')).status).toBe(401)
    // The example server is not here: the key is let in, the failure is the server's.
    expect((await call(agent)).status).not.toBe(401)
    for (const address of [weir.addresses.proxy, weir.addresses.collector]) {
      const page = await fetch(`${address}/metrics`, { headers: { authorization: `Bearer ${key}` } })
      expect(page.status).toBe(200)
      expect(await page.text()).toContain('# TYPE weir_')
    }
  }, 180_000)
})

const hasGo = ((): boolean => {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

describe.skipIf(!hasGo)('the library of Docker Compose', () => {
  it('loads the file: schema, interpolation, references', async ({ skip }) => {
    const module = mkdtempSync(join(tmpdir(), 'weir-compose-'))
    try {
      copyFileSync(join(import.meta.dirname, 'go', 'main.go'), join(module, 'main.go'))
      const env = { ...process.env, GOFLAGS: '-mod=mod', GOMAXPROCS: '1' }
      await run('go', ['mod', 'init', 'check'], { cwd: module, env })
      try {
        await run('go', ['get', 'github.com/compose-spec/compose-go/v2@v2.16.2'], { cwd: module, env })
      } catch (error) {
        skip(`no compose-go to be had: ${String(error).slice(0, 200)}`)
      }
      await run('go', ['build', '-o', 'check', '.'], { cwd: module, env })
      const check = (file: string): Promise<{ stdout: string }> =>
        run(join(module, 'check'), [file, ROOT], { maxBuffer: 16e6, env: { PATH: process.env.PATH ?? '' } })
      const { stdout } = await check(join(ROOT, 'docker-compose.yml'))
      const project = JSON.parse(stdout) as {
        services: Record<string, { environment?: Record<string, string> }>
      }
      expect(Object.keys(project.services).sort()).toEqual(Object.keys(compose.services).sort())
      // Its interpolation and ours agree.
      expect(project.services.weir!.environment).toEqual(environment('weir'))
      expect(project.services.grafana!.environment).toEqual(environment('grafana'))
      await expect(check(join(ROOT, 'package.json'))).rejects.toThrow()
    } finally {
      rmSync(module, { recursive: true, force: true })
    }
  }, 300_000)
})
