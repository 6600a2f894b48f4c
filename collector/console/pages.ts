/**
 * Serves the console: the page at every address of a view, its files below `/console/`. Holds no data and asks nobody, so it
 * needs no login; what the page then asks at `/api/` does.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Asset, type Console, encodingFor } from './assets.ts'

/** First words of the addresses of views (dashboards/console/views.ts), and the page to log in at. They must not collide with paths of the collector. */
export const VIEW_PATHS = [
  '/',
  '/tools',
  '/tools/*',
  '/trace',
  '/trace/*',
  '/runs',
  '/runs/*',
  '/cost',
  '/cost/*',
  '/callers',
  '/servers',
  '/servers/*',
  '/audit',
  '/policy',
  '/alerts',
  '/health',
  '/login',
] as const

/** What a page of the console may do: run and load its own files, ask its own origin, nothing else. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'self'",
].join('; ')

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  asset: Asset,
  cache: string,
): Promise<FastifyReply> {
  const encoding = encodingFor(String(request.headers['accept-encoding'] ?? ''))
  reply.headers({
    ...SECURITY_HEADERS,
    'cache-control': cache,
    etag: asset.etag,
    vary: 'accept-encoding',
  })
  if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send()
  if (encoding !== 'identity') reply.header('content-encoding', encoding)
  return reply.type(asset.type).send(await asset.bytes(encoding))
}

/** The page at an address that nobody knows, when a browser asks: it says so, and leads back. False: somebody else asks. */
export async function sendMissing(
  request: FastifyRequest,
  reply: FastifyReply,
  { page }: Console,
): Promise<boolean> {
  const isBrowser = request.method === 'GET' && String(request.headers.accept ?? '').includes('text/html')
  if (!isBrowser || request.headers['if-none-match'] !== undefined) return false
  await send(request, reply.code(404), page, 'no-store')
  return true
}

export function pageRoutes(app: FastifyInstance, { page, files }: Console): void {
  for (const path of VIEW_PATHS)
    app.get(path, async (request, reply) => send(request, reply, page, 'no-cache'))
  app.get('/console/*', async (request, reply) => {
    const file = files.get(request.url.split('?')[0]!)
    if (!file) return reply.callNotFound()
    return send(request, reply, file, 'public, max-age=31536000, immutable')
  })
}
