/** The admin API as a process of its own: options in, listen, take over new tokens, drain. It holds no secret of a store or a server. */
import type { FastifyInstance } from 'fastify'
import { hostOf, portOf, withPort } from '../config/address.ts'
import { makeLog } from '../event/log.ts'
import { askSupervisor, serveChild } from '../supervisor/link.ts'
import { buildApi } from './api.ts'
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

serveChild<AdminOptions>({
  async start(options) {
    inForce = options
    app = await buildApi({
      editing: new Editing(
        options.file,
        async () => (await askSupervisor(RELOAD_QUESTION, undefined, RELOAD_MAX_MS)) as Reloaded,
      ),
      keyUse: async () => (await askSupervisor(KEY_USE_QUESTION, undefined, KEY_USE_MAX_MS)) as KeyUse[],
      listen: options.listen,
      admin: () => inForce!.admin,
      log: makeLog('admin', options.log_level),
      version: '1',
    })
    const url = await app.listen({ host: hostOf(options.listen), port: portOf(options.listen) })
    return `http://${withPort(options.listen, new URL(url).port)}`
  },
  async reload(options) {
    inForce = options
  },
  async drain() {
    await app?.close()
  },
})
