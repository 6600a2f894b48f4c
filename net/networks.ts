/**
 * Which addresses of a network a metadata document may be fetched from: what keeps an authorization server, or who answers for
 * its name, from making Weir ask its own neighbours (SSRF). Pure. Source: IANA special-purpose address registries, RFC 6890.
 */
import { BlockList, isIPv6 } from 'node:net'

export type Reach = {
  /** Whether this machine itself may be asked. */
  readonly loopback: boolean
  readonly private: boolean
}

function list(...ranges: readonly string[]): BlockList {
  const found = new BlockList()
  for (const range of ranges) {
    const [address, bits] = range.split('/') as [string, string]
    found.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  return found
}

const LOOPBACK = list('127.0.0.0/8', '::1/128')
const PRIVATE = list('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7')
/** Nobody's authorization server: this network, link-local (where clouds keep credentials), multicast, reserved, relays to IPv4. */
const NEVER = list(
  '0.0.0.0/8',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  '::ffff:0:0:0/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/32',
  '2001:db8::/32',
  '2002::/16',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
)

/** Whether this address, as text, may be asked. IPv4 in IPv6 is judged as the IPv4 address it is. */
export function mayReach(address: string, reach: Reach): boolean {
  const mapped = isIPv6(address) ? mappedIpv4(address) : null
  const text = mapped ?? address
  const family = isIPv6(text) ? 'ipv6' : 'ipv4'
  if (NEVER.check(text, family)) return false
  if (LOOPBACK.check(text, family)) return reach.loopback
  return reach.private || !PRIVATE.check(text, family)
}

/** The IPv4 address in ::ffff:0:0/96 and ::/96, null when it is in neither. */
function mappedIpv4(address: string): string | null {
  // The URL parser writes any form in one: [::ffff:a.b.c.d] becomes ::ffff:hhhh:hhhh.
  const { hostname } = new URL(`http://[${address.split('%', 1)[0]}]`)
  const groups = /^\[::(?:ffff:)?([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(hostname)
  if (!groups) return null
  const [high, low] = [Number.parseInt(groups[1]!, 16), Number.parseInt(groups[2]!, 16)]
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}
