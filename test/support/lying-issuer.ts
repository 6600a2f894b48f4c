/** An issuer that answers as a test wants it to: metadata, keys, and one token of its choice for any code. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose'

export type Token = {
  claims: Record<string, unknown>
  header?: Record<string, unknown>
  key?: CryptoKey | Uint8Array
}

export type LyingIssuer = {
  readonly issuer: string
  /** What its token says; `nonce`: of the login. */
  token: (nonce: string) => Token
  /** What stands in its metadata besides. */
  metadata: Record<string, unknown>
  /** Its own key, for another algorithm. */
  keyFor(alg: string): Promise<CryptoKey | Uint8Array>
  /** Bodies of requests for a token. */
  readonly asked: URLSearchParams[]
  end(): Promise<void>
}

/** `nonceOf`: the nonce of the login under way. */
export async function startLyingIssuer(nonceOf: () => string): Promise<LyingIssuer> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'key-1', use: 'sig' }
  const server = createServer((req, res) => {
    const send = (body: unknown): void =>
      void res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const answer = async (): Promise<void> => {
      if (req.url === '/.well-known/openid-configuration')
        return send({
          issuer: lying.issuer,
          authorization_endpoint: `${lying.issuer}/authorize`,
          token_endpoint: `${lying.issuer}/token`,
          jwks_uri: `${lying.issuer}/jwks`,
          response_types_supported: ['code'],
          ...lying.metadata,
        })
      if (req.url === '/jwks') return send({ keys: [jwk] })
      if (req.url !== '/token') return void res.writeHead(404).end()
      lying.asked.push(new URLSearchParams(await text(req)))
      const { claims, header, key } = lying.token(nonceOf())
      const id_token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', kid: 'key-1', ...header })
        .sign(key ?? privateKey)
      send({ access_token: 'opaque', token_type: 'bearer', id_token })
    }
    answer().catch((error) => res.writeHead(500).end(String(error)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const lying: LyingIssuer = {
    issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: () => ({ claims: {} }),
    metadata: {},
    asked: [],
    keyFor: async (alg) => importJWK(await exportJWK(privateKey), alg),
    async end() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return lying
}
