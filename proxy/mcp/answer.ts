/**
 * The true outcome of an answer (promise 7): what a JSON-RPC response says, and how much of it there is.
 * Small answers are parsed; larger ones are searched for signs of an error and parsed only when there are some.
 * Pure: fills in the call, touches no byte of the answer.
 */
import type { Call } from '../call.ts'
import { MODERN_VERSION } from './versions.ts'

/** Above this an answer is searched before it is parsed. Parsing costs 1 us per KB of text, 3 of structure (bench/micro). */
const PARSE_BYTES = 16_384

type Block = { type?: unknown; text?: unknown }
type Response = {
  error?: { code?: unknown; message?: unknown }
  result?: {
    [key: string]: unknown
    isError?: unknown
    content?: unknown
    structuredContent?: unknown
    resultType?: unknown
  }
}

/** Codes that say the caller was wrong (mcp.md section 10: excluded from a server's errors). */
const CLIENT_CODES = new Set([-32700, -32600, -32601, -32602, -32002, -32020, -32021, -32022])

export function failByRpcError(call: Call, code: unknown, message: unknown): void {
  const number = typeof code === 'number' && Number.isInteger(code) && Math.abs(code) < 2 ** 31 ? code : 0
  call.fail(
    'rpc_error',
    CLIENT_CODES.has(number) ? 'client' : 'upstream',
    String(number),
    typeof message === 'string' ? message : '',
    number,
  )
}

/** Reads the text of a JSON-RPC response into the call. False when it is not one. */
export function readAnswer(call: Call, text: string): boolean {
  if (
    text.length > PARSE_BYTES &&
    // How much a list offers is wanted whatever its size.
    !call.method.endsWith('/list') &&
    !text.includes('"isError"') &&
    !text.includes('"error"') &&
    !text.includes('"resultType"') &&
    !text.includes('\\u')
  ) {
    call.result_read = 'scanned'
    call.text_bytes_out = text.length
    return true
  }
  let response: Response
  try {
    response = JSON.parse(text) as Response
  } catch {
    return false
  }
  if (typeof response !== 'object' || response === null) return false
  call.result_read = 'parsed'
  if (response.error !== undefined) {
    failByRpcError(call, response.error?.code, response.error?.message)
    call.text_bytes_out = text.length
    return true
  }
  const result = response.result
  if (typeof result !== 'object' || result === null) return result !== undefined
  readResult(call, result, text.length)
  return true
}

const LISTS = ['tools', 'prompts', 'resources', 'resourceTemplates'] as const

function readResult(call: Call, result: NonNullable<Response['result']>, bytes: number): void {
  let textBytes = 0
  let firstText = ''
  if (Array.isArray(result.content))
    for (const block of result.content as Block[]) {
      switch (block?.type) {
        case 'text':
          call.content_text++
          if (typeof block.text === 'string') {
            textBytes += Buffer.byteLength(block.text)
            firstText ||= block.text
          }
          break
        case 'image':
          call.content_image++
          break
        case 'audio':
          call.content_audio++
          break
        case 'resource':
        case 'resource_link':
          call.content_resource++
          break
      }
    }
  call.content_structured = result.structuredContent !== undefined
  call.text_bytes_out = textBytes || bytes
  if (result.resultType === 'input_required') {
    if (call.outcome === 'ok') call.outcome = 'input_required'
  } else if (result.isError === true) call.fail('tool_error', 'upstream', 'tool_error', firstText)
  if (call.method === 'initialize' && typeof result.protocolVersion === 'string') {
    call.negotiated_version = result.protocolVersion.slice(0, 32)
    // Over the bridge the host has said what the server speaks.
    if (call.upstream_protocol_version < MODERN_VERSION)
      call.upstream_protocol_version = call.negotiated_version
  }
  if (call.method.endsWith('/list'))
    for (const key of LISTS)
      if (Array.isArray(result[key])) call.list_items += (result[key] as unknown[]).length
}

const ERROR_FLAG = /"isError"\s*:\s*true/

/** The beginning of an error response, as a body or within an event. */
const ERROR_HEAD =
  /^(?:(?:event|id|retry):[^\r\n]*[\r\n]+)*(?:data:)?\s*\{\s*(?:"(?:jsonrpc|id)"\s*:\s*(?:"[^"\\]*"|[\d.-]+|null)\s*,\s*)*"error"/
const SCAN_HEAD_CHARS = 512
const SCAN_TAIL_CHARS = 32

/** Looks for errors in an answer too large to keep, chunk by chunk. */
export class ErrorScan {
  #tail = ''
  #head = ''
  hasToolError = false
  hasRpcError = false

  push(chunk: Buffer): void {
    const latin = chunk.toString('latin1')
    if (this.#head.length < SCAN_HEAD_CHARS) {
      this.#head += latin.slice(0, SCAN_HEAD_CHARS - this.#head.length)
      this.hasRpcError = ERROR_HEAD.test(this.#head)
    }
    const text = this.#tail + latin
    this.hasToolError ||= ERROR_FLAG.test(text)
    this.#tail = text.slice(-SCAN_TAIL_CHARS)
  }

  settle(call: Call): void {
    call.result_read = 'scanned'
    if (this.hasRpcError) call.fail('rpc_error', 'upstream', 'rpc_error', '')
    else if (this.hasToolError) call.fail('tool_error', 'upstream', 'tool_error', '')
  }
}

const HEAD_CHARS = 4096

/** Whether a message text is a JSON-RPC response: it has a result or an error before anything nested (cheap, no parse). */
const RESPONSE_HEAD =
  /^\s*\{(?:\s*"(?:jsonrpc|id)"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[\d.eE+-]+|null)\s*,)*\s*"(?:result|error)"\s*:/
/** As isResponse, of an event whose end is not here yet: its first members tell. */
export function isResponseHead(frame: Buffer): boolean {
  const text = frame.toString('latin1')
  const at = text.search(/(?:^|[\r\n])data:/)
  if (at < 0) return false
  const json = text.slice(text.indexOf(':', at) + 1)
  return RESPONSE_HEAD.test(json) || (/"(?:result|error)"/.test(json) && !/"method"/.test(json))
}

export function isResponse(text: string): boolean {
  // Its head only: the expression would overflow the stack on a member of many megabytes.
  if (RESPONSE_HEAD.test(text.length > HEAD_CHARS ? text.slice(0, HEAD_CHARS) : text)) return true
  if (!text.includes('"result"') && !text.includes('"error"')) return false
  try {
    const message = JSON.parse(text) as { method?: unknown; result?: unknown; error?: unknown }
    return message.method === undefined && (message.result !== undefined || message.error !== undefined)
  } catch {
    return false
  }
}

/** A 400 that is about the session and not about the request (seen: SDK v1 and server-everything, -32000). */
const SESSION_400 = /"code"\s*:\s*-3200[01]\b|session|not initialized/i
export const saysSessionLost = (body: string): boolean => SESSION_400.test(body)
