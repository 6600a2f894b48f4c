/**
 * Asks an authorization server: over https (http on loopback only), at addresses it may be at, without following redirects,
 * within bounds of size and time. The address is judged where the connection is made, so no second answer of a name server
 * counts. Source: MCP authorization, security considerations (SSRF); RFC 8725.
 */
import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import { bareHost, isLoopback } from '../config/address.ts'
import { mayReach, type Reach } from './networks.ts'

const BYTES_MAX = 262_144
const HEADER_BYTES_MAX = 16_384

export type FetchJson = (url: string, reach: Reach, timeout_ms: number) => Promise<Record<string, unknown>>
export type IssuerRequest = {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}
export type IssuerAnswer = { readonly status: number; readonly type: string; readonly body: Buffer }
export type AskIssuer = (
  url: string,
  request: IssuerRequest,
  reach: Reach,
  timeout_ms: number,
) => Promise<IssuerAnswer>
type Found = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void
export type Lookup = (
  host: string,
  options: LookupOptions & { all: true },
  found: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

/** Only a host that the config itself names may be this machine. `named`: the URL in the config. */
export const reachOf = (named: string, isPrivate: boolean): Reach => ({
  loopback: isLoopback(bareHost(new URL(named).hostname)),
  private: isPrivate,
})

/** As `dns.lookup`, but an address that may not be asked is an error. */
function guardedLookup(reach: Reach, lookup: Lookup) {
  return (host: string, options: LookupOptions, found: Found): void => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error) return found(error, '')
      const refused = addresses.find(({ address }) => !mayReach(address, reach))
      // One that may be asked beside one that may not: whoever answers so is not to be trusted.
      if (refused || addresses.length === 0)
        return found(new Error(`the address ${refused?.address ?? ''} of its host may not be asked`), '')
      if (options.all) found(null, addresses)
      else found(null, addresses[0]!.address, addresses[0]!.family)
    })
  }
}

/** `lookup`: how names become addresses. Rejects with what was wrong, without a word of what was sent or answered. */
export const makeAskIssuer =
  (lookup: Lookup = systemLookup): AskIssuer =>
  (text, { method, headers, body }, reach, timeout_ms) =>
    new Promise((resolve, reject) => {
      const url = new URL(text)
      const host = bareHost(url.hostname)
      if (url.username || url.password) throw new Error('its URL holds a user or password')
      if (url.protocol !== 'https:' && !(url.protocol === 'http:' && reach.loopback && isLoopback(host)))
        throw new Error('its URL is not https')
      if (isIP(host) !== 0 && !mayReach(host, reach)) throw new Error(`its address ${host} may not be asked`)
      const open = url.protocol === 'https:' ? requestHttps : requestHttp
      const request = open(url, {
        method,
        agent: false,
        lookup: guardedLookup(reach, lookup) as never,
        maxHeaderSize: HEADER_BYTES_MAX,
        headers: {
          accept: 'application/json',
          ...headers,
          'accept-encoding': 'identity',
          'user-agent': 'weir',
        },
        signal: AbortSignal.timeout(timeout_ms),
      })
      request.on('error', (error) =>
        reject(
          error.name === 'AbortError' || error.name === 'TimeoutError'
            ? new Error('it did not answer in time')
            : error,
        ),
      )
      request.on('response', (answer) => {
        const chunks: Buffer[] = []
        let bytes = 0
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          chunks.push(chunk)
          if (bytes <= BYTES_MAX) return
          reject(new Error(`its answer is larger than ${BYTES_MAX} bytes`))
          request.destroy()
        })
        answer.on('error', () => reject(new Error('its answer broke off')))
        answer.on('end', () =>
          resolve({
            status: answer.statusCode!,
            type: answer.headers['content-type'] ?? '',
            body: Buffer.concat(chunks),
          }),
        )
      })
      request.end(body)
    })

/** Fetches a JSON document of an authorization server. */
export const makeFetchJson = (lookup?: Lookup): FetchJson => {
  const ask = makeAskIssuer(lookup)
  return async (url, reach, timeout_ms) => {
    const { status, body } = await ask(url, { method: 'GET', headers: {}, body: '' }, reach, timeout_ms)
    // A redirect could lead anywhere; authorization servers have none here (RFC 8414, section 3.2: 200).
    if (status !== 200) throw new Error(`it answered HTTP ${status}`)
    try {
      const document: unknown = JSON.parse(body.toString())
      if (typeof document === 'object' && document !== null && !Array.isArray(document))
        return document as Record<string, unknown>
    } catch {}
    throw new Error('its answer is not a JSON object')
  }
}
