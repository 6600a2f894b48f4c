/**
 * Everything the browser gets: page, modules, styles, read once at start. All files but the page live below a path that names
 * their content, so they may be kept for ever; the page names that path. A file is compressed when it is first asked for, and
 * then kept so: all at once would cost every start of a collector three seconds of CPU.
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
  /** The file in an encoding. */
  bytes(encoding: Encoding): Promise<Buffer>
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

const ENCODERS: Readonly<Record<Encoding, (plain: Buffer) => Promise<Buffer>>> = {
  identity: async (plain) => plain,
  gzip: (plain) => toGzip(plain, { level: 9 }),
  zstd: (plain) => toZstd(plain, { params: { [constants.ZSTD_c_compressionLevel]: 12 } }),
}

function assetOf(path: string, text: string): Asset {
  const plain = Buffer.from(text)
  const made = new Map<Encoding, Promise<Buffer>>()
  return {
    type: TYPES[path.slice(path.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
    etag: `"${digest(text)}"`,
    bytes(encoding) {
      const bytes = made.get(encoding) ?? ENCODERS[encoding](plain)
      made.set(encoding, bytes)
      return bytes
    },
  }
}

/** Reads everything. Throws when a source cannot be read as TypeScript or imports what is not served. */
export function readConsole(): Console {
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
  const files = [...sources].map(([path, text]) => [`${base}/${path}`, assetOf(path, text)] as const)
  return { page: assetOf('index.html', page), files: new Map(files) }
}

/** The best encoding both sides know. */
export function encodingFor(accepted: string): Encoding {
  const names = accepted.toLowerCase().split(',')
  const takes = (name: string): boolean =>
    names.some((part) => part.trim().split(';')[0] === name && !/q=0(\.0*)?$/.test(part.trim()))
  return takes('zstd') ? 'zstd' : takes('gzip') ? 'gzip' : 'identity'
}
