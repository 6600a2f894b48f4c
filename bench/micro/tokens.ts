/** Access tokens and certificates: a token its connection showed before, one known by its digest, one never seen; scopes of a call. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { parseConfig } from '../../config/load.ts'
import { CertificateRing } from '../../proxy/identity/certificate.ts'
import { makeKeyRing } from '../../proxy/identity/identity.ts'
import { IssuerKeys } from '../../proxy/identity/issuer-keys.ts'
import { ScopePolicy } from '../../proxy/identity/scopes.ts'
import { TokenGate } from '../../proxy/identity/tokens.ts'
import { entitle } from '../../proxy/stages/entitle.ts'
import { identify } from '../../proxy/stages/identify.ts'
import { newCall } from './fixtures.ts'
import { micro, report } from './measure.ts'

const ISSUER = 'https://login.example.com'
const { config } = parseConfig(
  `auth:
  oauth: [ { issuer: ${ISSUER}, audience: weir, jwks_uri: ${ISSUER}/jwks, algorithms: [ES256, RS256] } ]
  scopes: { "*": [mcp], "stub/*": [stub.read], "stub/transfer": [stub.write] }
callers:
  bench: { certificates: [ { san: "URI:spiffe://example.com/bench" } ] }
`,
  'weir.yaml',
  {},
)
const { publicKey, privateKey } = await generateKeyPair('RS256')
const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256' }] }
const scopes = new ScopePolicy(config.auth)
const newGate = (): TokenGate =>
  new TokenGate(
    config,
    scopes,
    (issuer) =>
      new IssuerKeys(
        issuer,
        async () => keys,
        Date.now,
        () => {},
      ),
    () => {},
  )
const token = await new SignJWT({ client_id: 'bench', scope: 'mcp stub.read', aud: 'weir' })
  .setProtectedHeader({ alg: 'RS256', kid: 'k', typ: 'at+jwt' })
  .setIssuer(ISSUER)
  .setExpirationTime('1h')
  .sign(privateKey)

const origin = { public_url: undefined, isTls: false, address: '127.0.0.1:7332' }
const gate = newGate()
await gate.open(token, Date.now())
const stage = identify(makeKeyRing({}), { gate, scopes, origin })
const certificates = new CertificateRing(config.callers)
const call = newCall('legacy', 0)
// Calls of the fixtures share their requests: this one needs a header of its own.
const headers = { ...call.req.headers, authorization: `Bearer ${token}` }
const own = { ...call.req, url: '/servers/stub/mcp', headers, headersDistinct: { authorization: [''] } }
Object.assign(call, { req: own, server: 'stub', tool: 'echo', method: 'tools/call' })
await stage.before(call)

micro('identify: token as its connection showed before', () => stage.before(call), { stage: 'identify' })
micro('identify: token known by its digest', () => gate.open(token, Date.now()), {
  stage: 'identify',
  target_ns: 5000,
  must_ns: 10_000,
})
const seen = { sans: ['URI:spiffe://example.com/bench'], thumbprint: 'abcdefghijkl', expires_ms: 4e12 }
micro('identify: certificate of its connection', () => certificates.identify(seen, Date.now()), {
  stage: 'identify',
})
const entitling = entitle(scopes, [origin])
micro('entitle: scopes of a call', () => {
  call.decision = null
  entitling.before(call)
})
report()
