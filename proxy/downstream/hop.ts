/**
 * From one worker to the worker that holds a session: the request travels on over a Unix socket, as it came.
 * The owner records the call; this worker leaves no event.
 */
import { request } from 'node:http'
import type { Call } from '../call.ts'
import { HOP_PEER } from './http.ts'

/** Passes the request on. Resolves true when the owner answered, false when no owner listens (nothing was sent to the client). */
export function hopToOwner(call: Call, socketPath: string): Promise<boolean> {
  const { req, res } = call
  return new Promise((resolve) => {
    const onward = request({ socketPath, path: req.url, method: req.method, headers: { ...req.headers, [HOP_PEER]: call.peer_address, connection: 'keep-alive' } }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders.filter((_, i, all) => !/^(connection|keep-alive|transfer-encoding)$/i.test(all[i - (i % 2)]!)))
      res.flushHeaders()
      answer.pipe(res)
      answer.on('error', () => res.destroy())
      resolve(true)
    })
    onward.on('error', () => {
      if (res.headersSent) res.destroy()
      else resolve(false)
    })
    call.onClientGone = () => onward.destroy()
    onward.end(call.body)
  })
}
