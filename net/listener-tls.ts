/**
 * TLS of one listener: its files read and checked, and read again when they change. A set of files that does not fit together
 * changes nothing. Connections made under authorities or a revocation list that have changed since do not outlive that by long.
 */
import { readFileSync, statSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import { createServer, type Server as HttpsServer, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { ListenerTls } from '../config/tls.ts'
import type { Log } from '../event/log.ts'

export type WebServer = HttpServer | HttpsServer

/** Files are looked at this often: a mounted secret changes by a link, which is no change that a file system tells of. */
const LOOK_MS = 1_000
const HANDSHAKE_MS = 10_000
/** Calls under way when the trust changes may take this long to end. */
const TRUST_GRACE_MS = 5_000
/** The setting that errors name, unless it is another. */
const LISTEN = 'listen[].tls'
const FILES = ['cert', 'key', 'client_ca', 'client_crl'] as const

type Files = Readonly<Partial<Record<(typeof FILES)[number], Buffer>>>

/** Reads the files of a listener. Throws with the setting and the reason. */
export function readTls(tls: ListenerTls, setting = LISTEN): { files: Files; context: SecureContextOptions } {
  const files: Partial<Record<(typeof FILES)[number], Buffer>> = {}
  for (const name of FILES) {
    const path = tls[name]
    if (path === undefined) continue
    try {
      files[name] = readFileSync(path)
    } catch (error) {
      throw new Error(`${setting}.${name}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`)
    }
  }
  const { cert, key, client_ca, client_crl } = files
  const context = {
    cert: cert!,
    key: key!,
    ...(client_ca ? { ca: client_ca } : {}),
    ...(client_crl ? { crl: client_crl } : {}),
    minVersion: tls.min_version,
  }
  try {
    createSecureContext(context)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // The message of the library names its own source lines; the code says it.
    throw new Error(`${setting}: ${tls.cert} and its key cannot be used (${code ?? message})`)
  }
  return { files, context }
}

export class TlsListener {
  readonly server: HttpsServer
  readonly #log: Log
  readonly #setting: string
  readonly #sockets = new Set<Socket>()
  readonly #look: NodeJS.Timeout
  #tls: ListenerTls
  #files: Files
  #stamp: string
  #refused = ''

  /** Throws when the files cannot be used. */
  constructor(tls: ListenerTls, options: ServerOptions, log: Log, setting = LISTEN) {
    const { files, context } = readTls(tls, setting)
    this.#setting = setting
    this.#tls = tls
    this.#files = files
    this.#stamp = stampOf(tls)
    this.#log = log
    this.server = createServer({
      ...options,
      ...context,
      handshakeTimeout: HANDSHAKE_MS,
      requestCert: tls.client_auth !== 'none',
      // Whoever shows none, or one that is not good, may still have a key where certificates are optional.
      rejectUnauthorized: tls.client_auth === 'required',
    })
    this.server.on('secureConnection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    this.#look = setInterval(() => this.#lookAgain(), LOOK_MS).unref()
    this.server.once('close', () => clearInterval(this.#look))
  }

  /** Takes over other files. Throws, and changes nothing, when they cannot be used. */
  adopt(tls: ListenerTls): void {
    const stamp = stampOf(tls)
    const { files, context } = readTls(tls, this.#setting)
    const isSame = (name: (typeof FILES)[number]): boolean =>
      (files[name] ?? Buffer.alloc(0)).equals(this.#files[name] ?? Buffer.alloc(0))
    const isSameTrust = isSame('client_ca') && isSame('client_crl')
    const isAllSame =
      isSameTrust && isSame('cert') && isSame('key') && tls.min_version === this.#tls.min_version
    this.#tls = tls
    this.#files = files
    this.#stamp = stamp
    if (isAllSame) return
    this.server.setSecureContext(context)
    this.#log.info('certificates taken over', { cert: tls.cert })
    if (!isSameTrust && tls.client_auth !== 'none') this.#endOldTrust()
  }

  #endOldTrust(): void {
    const old = [...this.#sockets]
    this.server.closeIdleConnections()
    setTimeout(() => {
      for (const socket of old) socket.destroy()
    }, TRUST_GRACE_MS).unref()
  }

  #lookAgain(): void {
    const stamp = stampOf(this.#tls)
    if (stamp === this.#stamp || stamp === this.#refused) return
    try {
      this.adopt(this.#tls)
      this.#refused = ''
    } catch (error) {
      // Once for each state of the files: half of a change may be there before the other half.
      this.#refused = stamp
      this.#log.error('changed certificates are not taken over: the old ones stay', {
        why: (error as Error).message,
      })
    }
  }
}

/** What tells one state of the files from another. */
function stampOf(tls: ListenerTls): string {
  return FILES.map((name) => {
    if (tls[name] === undefined) return ''
    try {
      const { ino, size, mtimeMs } = statSync(tls[name])
      return `${ino}:${size}:${mtimeMs}`
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code)
    }
  }).join(' ')
}
