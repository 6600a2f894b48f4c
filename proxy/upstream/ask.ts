/**
 * One question to one server whose whole answer is wanted: what merged lists and sessions under the roof are made of.
 * Reads JSON or a stream up to a bound. Rejects with a WeirError; never leaves a socket behind.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Message } from '../call.ts'
import { WeirError } from '../errors.ts'
import { isResponse } from '../mcp/answer.ts'
import { FrameSplitter, frameData } from '../mcp/frames.ts'
import type { Upstream } from './upstream.ts'

const ANSWER_MAX_BYTES = 33_554_432

/** `isUnsent`: known without a message to the server; then `message.error` only stands for having nothing to say. */
export type Asked = {
  status: number
  headers: IncomingHttpHeaders
  message: Message | null
  isUnsent?: boolean
}

/** Sends `body` and resolves with the JSON-RPC response (null when the server sent none, for example to a notification). */
export function ask(upstream: Upstream, headers: string[], body: string, timeout_ms: number): Promise<Asked> {
  return new Promise((resolve, reject) => {
    let status = 0
    let responseHeaders: IncomingHttpHeaders = {}
    let isStream = false
    let isSettled = false
    let abort: ((error: Error) => void) | null = null
    const chunks: Buffer[] = []
    let size = 0
    const settle = (): boolean => {
      if (isSettled) return false
      isSettled = true
      clearTimeout(timer)
      return true
    }
    const fail = (error: WeirError): void => {
      if (!settle()) return
      reject(error)
      abort?.(error)
    }
    const succeed = (message: Message | null): void => {
      if (!settle()) return
      upstream.saw(status < 500, status < 500 ? 'answers' : `HTTP ${status}`)
      resolve({ status, headers: responseHeaders, message })
    }
    const splitter = new FrameSplitter({
      frame(bytes) {
        const data = frameData(bytes)
        if (data === null || !isResponse(data)) return
        succeed(parse(data))
        abort?.(new Error('the answer is complete'))
      },
      piece: (bytes) => chunks.push(Buffer.from(bytes)),
      lastPiece(bytes) {
        const data = frameData(Buffer.concat([...chunks.splice(0), bytes]))
        if (data !== null && isResponse(data)) succeed(parse(data))
      },
    })
    const timer = setTimeout(() => {
      upstream.saw(false, 'timeout')
      fail(new WeirError('upstream_timeout', `no answer within ${timeout_ms} ms`))
    }, timeout_ms)
    upstream.send('POST', headers, body, {
      onRequestStart(controller) {
        abort = (error) => controller.abort(error)
        if (isSettled) controller.abort(new Error('too late'))
      },
      onResponseStart(_controller, code, fields) {
        status = code
        responseHeaders = fields
        isStream = String(fields['content-type'] ?? '').startsWith('text/event-stream')
      },
      onResponseData(_controller, chunk) {
        size += chunk.length
        if (size > ANSWER_MAX_BYTES)
          return fail(
            new WeirError('upstream_protocol', `the answer is larger than ${ANSWER_MAX_BYTES} bytes`),
          )
        if (isStream) splitter.push(chunk)
        else chunks.push(chunk)
      },
      onResponseEnd() {
        if (isStream) return succeed(null)
        succeed(parse(Buffer.concat(chunks).toString()))
      },
      onResponseError(_controller, error) {
        if (isSettled) return
        const code = (error as { code?: string }).code ?? ''
        upstream.saw(false, code || error.message)
        fail(new WeirError('upstream_unavailable', `${code} ${error.message}`.trim(), { cause: error }))
      },
    })
  })
}

function parse(text: string): Message | null {
  try {
    const message = JSON.parse(text) as unknown
    return typeof message === 'object' && message !== null && !Array.isArray(message)
      ? (message as Message)
      : null
  } catch {
    return null
  }
}
