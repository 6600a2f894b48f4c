/**
 * The client's one stream under the roof: the streams of all its servers merged, frame by frame. Questions of servers get
 * ids that name their server. Event ids are left out: a position in a merged stream means nothing to any one server.
 */
import type { Dispatcher } from 'undici'
import type { Call, Message } from '../call.ts'
import { FrameSplitter, frameData, messageFrame } from '../mcp/frames.ts'
import { replaceValue } from '../mcp/splice.ts'
import { type Member, memberHeaders, questionId, type RoofSession } from './session.ts'

const REOPEN_MS = 1000
const KEEP_ALIVE_MS = 15_000

/** A server's message as the client may see it. */
export function fromServer(server: string, json: string): string {
  if (!json.includes('"method"') || !json.includes('"id"')) return json
  let message: Message
  try {
    message = JSON.parse(json) as Message
  } catch {
    return json
  }
  return typeof message.method === 'string' && message.id !== undefined ? replaceValue(json, ['id'], questionId(server, message.id)) : json
}

/** Holds the stream open until the client leaves or the worker drains. */
export function openRoofStream(call: Call, roof: RoofSession): void {
  const { res } = call
  const open = new Map<string, Dispatcher.DispatchController>()
  const watched = new Set<string>()
  let isOver = false

  const watch = (member: Member): void => {
    const server = member.upstream.name
    if (isOver || watched.has(server)) return
    watched.add(server)
    let isSupported = false
    const again = (): void => {
      open.delete(server)
      watched.delete(server)
      if (!isOver && isSupported) setTimeout(() => watch(member), REOPEN_MS).unref()
    }
    const pieces: Buffer[] = []
    const splitter = new FrameSplitter({
      frame(bytes) {
        const data = frameData(bytes)
        if (data) write(messageFrame(fromServer(server, data)))
      },
      // A large frame must not mix with those of other servers: it is put together first.
      piece: (bytes) => pieces.push(Buffer.from(bytes)),
      lastPiece: (bytes) => write(Buffer.concat([...pieces.splice(0), bytes])),
    })
    member.upstream.send('GET', [...memberHeaders(member.upstream, roof.caller, member)], null, {
      onRequestStart(controller) {
        if (isOver) controller.abort(new Error('the client is gone'))
        else open.set(server, controller)
      },
      onResponseStart(controller, status) {
        // 405: a server without a stream of its own. Nothing to hear.
        if (status === 200) isSupported = true
        else controller.abort(new Error(`HTTP ${status}`))
      },
      onResponseData(_controller, chunk) {
        splitter.push(chunk)
      },
      onResponseEnd: again,
      onResponseError: again,
    }, true)
  }
  const write = (bytes: Buffer | string): void => {
    if (isOver || res.write(bytes)) return
    for (const controller of open.values()) controller.pause()
    res.once('drain', () => {
      for (const controller of open.values()) controller.resume()
    })
  }
  const alive = setInterval(() => write(': alive\n\n'), KEEP_ALIVE_MS)
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', 'x-accel-buffering': 'no' })
  res.flushHeaders()
  roof.hasStream = true
  roof.onMember.add(watch)
  call.onClientGone = () => {
    isOver = true
    clearInterval(alive)
    roof.hasStream = false
    roof.onMember.delete(watch)
    for (const controller of open.values()) controller.abort(new Error('the client is gone'))
  }
  roof.members().then((members) => members.forEach(watch), () => {})
}
