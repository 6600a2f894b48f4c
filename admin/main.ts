/** The admin API as a process of its own: options in, listen, take over new tokens, drain. It holds no secret of a store or a server. */
import type { FastifyInstance } from 'fastify'
import { hostOf, portOf, withPort } from '../config/address.ts'
import { makeLog } from '../event/log.ts'
import { TlsListener } from '../net/listener-tls.ts'
import { askSupervisor, serveChild } from '../supervisor/link.ts'
import { buildApi, REQUEST_MAX_MS } from './api.ts'
import { Editing } from './editing.ts'
import {
  type AdminOptions,
  KEY_USE_MAX_MS,
  KEY_USE_QUESTION,
  type KeyUse,
  RELOAD_MAX_MS,
  RELOAD_QUESTION,
  type Reloaded,
} from './options.ts'

let app: FastifyInstance | null = null
let inForce: AdminOptions | null = null
let tlsListener: TlsListener | null = null

serveChild<AdminOptions>({
  async start(options) {
    inForce = options
    const log = makeLog('admin', options.log_level)
    const { tls } = options.admin
    if (tls) tlsListener = new TlsListener(tls, { requestTimeout: REQUEST_MAX_MS }, log, 'admin.tls')
    const { server } = tlsListener ?? {}
    app = await buildApi({
      editing: new Editing(
        options.file,
        async () => (await askSupervisor(RELOAD_QUESTION, undefined, RELOAD_MAX_MS)) as Reloaded,
      ),
      keyUse: async () => (await askSupervisor(KEY_USE_QUESTION, undefined, KEY_USE_MAX_MS)) as KeyUse[],
      listen: options.listen,
      admin: () => inForce!.admin,
      log,
      version: '1',
      serverFactory: server && ((handler) => server.on('request', handler)),
    })
    const url = await app.listen({ host: hostOf(options.listen), port: portOf(options.listen) })
    return `${server ? 'https' : 'http'}://${withPort(options.listen, new URL(url).port)}`
  },
  async reload(options) {
    // Files that cannot be used keep the whole of the old config.
    if (options.admin.tls) tlsListener?.adopt(options.admin.tls)
    inForce = options
  },
  async drain() {
    await app?.close()
  },
})
