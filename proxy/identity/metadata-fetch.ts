/**
 * Fetches a JSON document of an authorization server: over https (http on loopback only), from addresses it may be at, without
 * following redirects, within bounds of size and time. The address is judged where the connection is made, so no second answer
 * of a name server counts. Source: MCP authorization, security considerations (SSRF); RFC 8725.
 */
import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns'
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { isIP } from 'node:net'
import { bareHost, isLoopback } from '../../config/address.ts'
import { mayReach, type Reach } from './networks.ts'

const BYTES_MAX = 262_144
const HEADER_BYTES_MAX = 16_384

export type FetchJson = (url: string, reach: Reach, timeout_ms: number) => Promise<Record<string, unknown>>
type Found = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void
export type Lookup = (
  host: string,
  options: LookupOptions & { all: true },
  found: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

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

/** `lookup`: how names become addresses. Rejects with what was wrong, without a word of what was answered. */
export const makeFetchJson =
  (lookup: Lookup = systemLookup): FetchJson =>
  (text, reach, timeout_ms) =>
    new Promise((resolve, reject) => {
      const url = new URL(text)
      const host = bareHost(url.hostname)
      if (url.username || url.password) throw new Error('its URL holds a user or password')
      if (url.protocol !== 'https:' && !(url.protocol === 'http:' && reach.loopback && isLoopback(host)))
        throw new Error('its URL is not https')
      if (isIP(host) !== 0 && !mayReach(host, reach)) throw new Error(`its address ${host} may not be asked`)
      const get = url.protocol === 'https:' ? getHttps : getHttp
      const request = get(url, {
        agent: false,
        lookup: guardedLookup(reach, lookup) as never,
        maxHeaderSize: HEADER_BYTES_MAX,
        headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'weir' },
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
        const fail = (why: string): void => {
          reject(new Error(why))
          request.destroy()
        }
        // A redirect could lead anywhere; authorization servers have none here (RFC 8414, section 3.2: 200).
        if (answer.statusCode !== 200) return fail(`it answered HTTP ${answer.statusCode}`)
        const chunks: Buffer[] = []
        let bytes = 0
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > BYTES_MAX) return fail(`its answer is larger than ${BYTES_MAX} bytes`)
          chunks.push(chunk)
        })
        answer.on('error', () => reject(new Error('its answer broke off')))
        answer.on('end', () => {
          try {
            const document: unknown = JSON.parse(Buffer.concat(chunks).toString())
            if (typeof document !== 'object' || document === null || Array.isArray(document))
              throw new Error()
            resolve(document as Record<string, unknown>)
          } catch {
            reject(new Error('its answer is not a JSON object'))
          }
        })
      })
    })
