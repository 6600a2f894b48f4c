/** Certificates made by openssl in a folder of their own: authorities, servers, clients, revocation lists. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Folder, makeFolder } from './folder.ts'

export type Pair = { readonly cert: string; readonly key: string }

/** Lays down the files of a listener as a deployment does: whole files take the place of others at once. */
export function putListenerPair(folder: Folder, { cert, key }: Pair): void {
  for (const [from, name] of [
    [cert, 'weir.crt'],
    [key, 'weir.key'],
  ] as const) {
    const to = join(folder.path, name)
    copyFileSync(from, `${to}.new`)
    renameSync(`${to}.new`, to)
  }
}

export class Authority implements Pair {
  readonly cert: string
  readonly key: string
  readonly #folder: Folder
  readonly #name: string
  #issued = 0

  constructor(folder: Folder, name: string) {
    this.#folder = folder
    this.#name = name
    this.cert = join(folder.path, `${name}.crt`)
    this.key = join(folder.path, `${name}.key`)
    const extensions = [
      '-addext',
      'basicConstraints=critical,CA:TRUE',
      '-addext',
      'keyUsage=critical,keyCertSign,cRLSign',
    ]
    openssl(
      'req',
      '-x509',
      ...newKey(this.key),
      '-out',
      this.cert,
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
      ...extensions,
    )
    writeFileSync(this.#at('index'), '')
    writeFileSync(this.#at('serial'), '1000\n')
    writeFileSync(this.#at('crlnumber'), '1000\n')
    writeFileSync(
      this.#at('cnf'),
      `[ca]\ndefault_ca=own\n[own]\ndatabase=${this.#at('index')}\nserial=${this.#at('serial')}\ncrlnumber=${this.#at('crlnumber')}\nnew_certs_dir=${folder.path}\ndefault_md=sha256\ndefault_crl_days=2\npolicy=any\nunique_subject=no\ncopy_extensions=copyall\n[any]\ncommonName=optional\n`,
    )
  }

  /** A certificate with these subject alternative names, for instance `URI:spiffe://x/y`; `days` may be negative. */
  issue(sans: readonly string[], use: 'clientAuth' | 'serverAuth' = 'clientAuth', days = 2): Pair {
    const at = join(this.#folder.path, `${this.#name}-${++this.#issued}`)
    const pair = { cert: `${at}.crt`, key: `${at}.key` }
    // A section takes each value as it is, commas and all.
    const names = sans.map((san, i) => `${san.replace(':', `.${i} = `)}\n`).join('')
    const alternative = sans.length > 0 ? 'subjectAltName = @names\n' : ''
    writeFileSync(
      `${at}.cnf`,
      `[req]\nprompt = no\ndistinguished_name = dn\nreq_extensions = ext\n[dn]\nCN = rm-agent\n[ext]\nextendedKeyUsage = ${use}\n${alternative}[names]\n${names}`,
    )
    openssl('req', ...newKey(pair.key), '-out', `${at}.csr`, '-config', `${at}.cnf`)
    const time = (offset_days: number): string =>
      new Date(Date.now() + offset_days * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, '')
    const term = ['-startdate', time(Math.min(-1, days - 1)), '-enddate', time(days)]
    this.#ca('-in', `${at}.csr`, '-out', pair.cert, '-notext', ...term)
    return pair
  }

  /** Takes a certificate back. */
  revoke({ cert }: Pair): void {
    this.#ca('-revoke', cert)
  }

  /** The list of what was taken back so far, as a file of that name. */
  revocations(name: string): string {
    this.#ca('-gencrl', '-out', join(this.#folder.path, name))
    return join(this.#folder.path, name)
  }

  #at(what: string): string {
    return join(this.#folder.path, `${this.#name}.${what}`)
  }

  #ca(...words: string[]): void {
    openssl('ca', '-batch', '-config', this.#at('cnf'), '-cert', this.cert, '-keyfile', this.key, ...words)
  }
}

const newKey = (file: string): string[] => [
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:prime256v1',
  '-nodes',
  '-keyout',
  file,
]

function openssl(...words: string[]): void {
  execFileSync('openssl', words, { stdio: 'pipe' })
}

export const certificateFolder = (): Folder => makeFolder('certificates')
export const pem = ({ cert, key }: Pair): { cert: Buffer; key: Buffer } => ({
  cert: readFileSync(cert),
  key: readFileSync(key),
})
