/**
 * TLS of a listener, and the certificates by which callers are known. Holds paths, never a key: workers read the files
 * themselves, again when they change.
 */
import { z } from 'zod'
import { meta, restart } from './leaves.ts'

const pem = (description: string, example: string) =>
  z
    .string()
    .min(1)
    .refine(
      (text) => !text.includes('-----BEGIN'),
      'expected a path, without file: before it, for example tls/weir.crt',
    )
    .meta(meta(description, { example }))

export const listenerTls = z
  .strictObject({
    cert: pem("Path of Weir's certificate with its chain, PEM", 'tls/weir.crt'),
    key: pem("Path of the certificate's private key, PEM", 'tls/weir.key'),
    client_ca: pem(
      'Path of the authorities that sign certificates of clients, PEM',
      'tls/clients-ca.crt',
    ).optional(),
    client_crl: pem('Path of the revocation list of those authorities, PEM', 'tls/clients.crl').optional(),
    client_auth: z
      .enum(['none', 'optional', 'required'])
      .default('none')
      .meta(
        meta(
          'Whether clients are asked for a certificate; required: a connection without a valid one is refused',
          restart,
        ),
      ),
    min_version: z
      .enum(['TLSv1.2', 'TLSv1.3'])
      .default('TLSv1.2')
      .meta(meta('Oldest version of TLS that is spoken')),
  })
  .superRefine((tls, context) => {
    if (tls.client_auth !== 'none' && tls.client_ca === undefined)
      context.addIssue({
        code: 'custom',
        path: ['client_auth'],
        message: `client_auth: ${tls.client_auth} needs \`client_ca\`, the authorities to trust, for example client_ca: tls/clients-ca.crt`,
      })
    if (tls.client_auth === 'none' && (tls.client_ca !== undefined || tls.client_crl !== undefined))
      context.addIssue({
        code: 'custom',
        path: [tls.client_ca === undefined ? 'client_crl' : 'client_ca'],
        message:
          'has no effect while no client is asked for a certificate, for example client_auth: required',
      })
  })

export type ListenerTls = z.output<typeof listenerTls>

/** What a certificate may say of its holder: kind and value as in its subject alternative names. */
export const SAN_KINDS = ['URI', 'DNS', 'email', 'IP'] as const

/** By which certificate a caller is known. */
export const callerCertificate = z.strictObject({
  san: z
    .string()
    .max(500)
    .regex(
      /^(URI|DNS|email|IP):[\x21-\x7e]+$/,
      'expected a subject alternative name, URI:…, DNS:…, email:… or IP:…, for example URI:spiffe://example.com/agent',
    )
    .meta(
      meta('Subject alternative name of the certificate, whole and exact', {
        example: 'URI:spiffe://example.com/agent',
      }),
    ),
})
