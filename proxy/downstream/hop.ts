/**
 * From one worker to the worker that holds a session: the request travels on over a Unix socket, as it came.
 * The owner records the call; this worker leaves no event. Invariant: what was handed over is never served a second time.
 */
import { Agent, request } from 'node:http'
import type { Call } from '../call.ts'
import { hopText } from '../identity/certificate.ts'
import { HOP_LISTENER } from '../options.ts'
import { HOP_CERTIFICATE, HOP_PEER, HOP_TRANSPORT } from './wiring.ts'

/** A connection each: one that an owner has just closed would cost a call that nobody has served. */
const connections = new Agent({ keepAlive: false })
const NOT_PASSED = /^(connection|keep-alive|transfer-encoding)$/i

/**
 * Passes the request on. Resolves true when it is out of our hands: answered, or cut when the owner died over it.
 * Resolves false when no owner listens: then nothing was sent to anybody.
 */
export function hopToOwner(call: Call, socketPath: string): Promise<boolean> {
  const { req, res } = call
  const headers = {
    ...req.headers,
    [HOP_PEER]: call.peer_address,
    [HOP_TRANSPORT]: call.transport,
    [HOP_LISTENER]: call.listener,
    [HOP_CERTIFICATE]: hopText(call.certificate),
    connection: 'close',
  }
  return new Promise((resolve) => {
    const onward = request(
      { socketPath, path: req.url, method: req.method, headers, agent: connections },
      (answer) => {
        const fields = answer.rawHeaders.filter((_, i, all) => !NOT_PASSED.test(all[i - (i % 2)]!))
        res.writeHead(answer.statusCode ?? 502, fields)
        res.flushHeaders()
        answer.pipe(res)
        answer.on('error', () => res.destroy())
        resolve(true)
      },
    )
    onward.on('error', (error: NodeJS.ErrnoException) => {
      const isNobodyThere =
        error.syscall === 'connect' && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT')
      if (isNobodyThere && !res.destroyed) return resolve(false)
      // The owner may have served and recorded it: a second try could do a side effect twice. As if we had died.
      res.destroy()
      resolve(true)
    })
    call.whenClientGone(() => onward.destroy())
    onward.end(call.body)
  })
}
