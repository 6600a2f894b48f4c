/**
 * Everything the browser gets, made once at start: page, modules, styles, compressed. All files but the page live below a path
 * that names their content, so they may be kept for ever; the page names that path.
 * Invariant: nothing here comes from calls, events or requests.
 */
import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { constants, gzip, zstdCompress } from 'node:zlib'
import { linkModule, readChartStyle, readLibraries, stripModule } from './modules.ts'

export type Encoding = 'identity' | 'gzip' | 'zstd'
export type Asset = {
  readonly type: string
  readonly etag: string
  readonly bytes: Readonly<Record<Encoding, Buffer>>
}
export type Console = {
  /** The page every view starts from. */
  readonly page: Asset
  /** By path, from `/console/…` on. */
  readonly files: ReadonlyMap<string, Asset>
}

const FOLDER = fileURLToPath(new URL('../../dashboards/console/', import.meta.url))
const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  html: 'text/html; charset=utf-8',
}
const digest = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 16)

/** Sources as the browser takes them, by path. */
function readSources(): Map<string, string> {
  const sources = readLibraries()
  for (const file of globSync('**/*.{ts,js,css,svg}', { cwd: FOLDER }).sort()) {
    const text = readFileSync(join(FOLDER, file), 'utf8')
    const path = file.replaceAll('\\', '/')
    if (path.endsWith('.d.ts')) continue
    if (path.endsWith('.ts')) sources.set(path.replace(/\.ts$/, '.js'), linkModule(path, stripModule(text)))
    else sources.set(path, path.endsWith('.js') ? linkModule(path, text) : text)
  }
  sources.set('chart.css', readChartStyle())
  return sources
}

const toGzip = promisify(gzip)
const toZstd = promisify(zstdCompress)

async function assetOf(path: string, text: string): Promise<Asset> {
  const identity = Buffer.from(text)
  const [zipped, zstd] = await Promise.all([
    toGzip(identity, { level: 9 }),
    toZstd(identity, { params: { [constants.ZSTD_c_compressionLevel]: 12 } }),
  ])
  return {
    type: TYPES[path.slice(path.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
    etag: `"${digest(text)}"`,
    bytes: { identity, gzip: zipped, zstd },
  }
}

/** Reads and prepares everything. Throws when a source cannot be read as TypeScript or imports what is not served. */
export async function readConsole(): Promise<Console> {
  const sources = readSources()
  const version = digest([...sources].map(([path, text]) => `${path}\n${text}`).join('\n'))
  const base = `/console/${version}`
  const modules = [...sources.keys()].filter((path) => path.endsWith('.js') && path !== 'theme.js')
  const page = readFileSync(join(FOLDER, 'index.html'), 'utf8')
    .replaceAll('{BASE}', base)
    .replace(
      '{MODULES}',
      modules.map((path) => `<link rel="modulepreload" href="${base}/${path}">`).join('\n  '),
    )
  const files = await Promise.all(
    [...sources].map(async ([path, text]) => [`${base}/${path}`, await assetOf(path, text)] as const),
  )
  return { page: await assetOf('index.html', page), files: new Map(files) }
}

/** The best encoding both sides know. */
export function encodingFor(accepted: string): Encoding {
  const names = accepted.toLowerCase().split(',')
  const takes = (name: string): boolean =>
    names.some((part) => part.trim().split(';')[0] === name && !/q=0(\.0*)?$/.test(part.trim()))
  return takes('zstd') ? 'zstd' : takes('gzip') ? 'gzip' : 'identity'
}
