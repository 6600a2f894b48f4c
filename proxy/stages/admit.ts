/**
 * Host and Origin: what keeps a web page from talking to a proxy on its visitor's machine (DNS rebinding).
 * Source: MCP specification, transports, security warning. Absent Origin is a program, not a page.
 */
import { bareHost, hostOf, isLoopback } from '../../config/address.ts'
import type { Config } from '../../config/schema.ts'
import { allowReading } from '../cors.ts'
import { WeirError } from '../errors.ts'
import type { Stage } from '../pipeline.ts'

const hostName = (host: string): string => bareHost(host.replace(/:\d+$/, '')).toLowerCase()

/** Whether requests for this Host are served by a listener at `listen`. */
export function makeHostCheck(
  listen: string,
  allowed: readonly string[],
): (host: string | undefined) => boolean {
  const bound = hostOf(listen)
  const names = new Set([...allowed.map((h) => h.toLowerCase()), bound.toLowerCase()])
  const isAny = !isLoopback(bound) && allowed.length === 0
  return (host) => {
    if (host === undefined) return false
    if (isAny) return true
    const name = hostName(host)
    return names.has(name) || names.has(host.toLowerCase()) || isLoopback(name)
  }
}

/** Whether pages of this Origin may call. */
export function makeOriginCheck(
  listen: string,
  allowed: readonly string[],
): (origin: string | undefined) => boolean {
  const origins = new Set(allowed.map((o) => o.toLowerCase().replace(/\/$/, '')))
  const isLocal = isLoopback(hostOf(listen))
  return (origin) => {
    if (origin === undefined || origins.has(origin.toLowerCase())) return true
    if (!isLocal) return false
    try {
      return isLoopback(hostName(new URL(origin).host))
    } catch {
      return false
    }
  }
}

/** `address`: of the listener that the requests come to. */
export function admit({ allowed_hosts, allowed_origins }: Config['http'], address: string): Stage {
  const isHost = makeHostCheck(address, allowed_hosts)
  const isOrigin = makeOriginCheck(address, allowed_origins)
  let lastHost: string | undefined
  return {
    name: 'admit',
    why: 'a request from a foreign page must not even learn whether a key is valid',
    needs: 'head',
    before(call) {
      const { host, origin } = call.req.headers
      // One name is asked for again and again; judging it anew each time costs more than the rest of the stage.
      if (host === undefined || host !== lastHost) {
        if (!isHost(host)) throw new WeirError('host_refused')
        lastHost = host
      }
      if (origin === undefined) return
      if (!isOrigin(origin)) throw new WeirError('origin_refused')
      allowReading(call.res, origin)
    },
  }
}
