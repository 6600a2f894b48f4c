/**
 * One HTTP request to a receiver, and what its answer means. Redirects are not followed: an alert goes where the config says and
 * nowhere else. Invariant: no text that leaves here holds an address, a header or a body: they may be secrets.
 */

export type HttpRequest = {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** `retry`: coming again may help; `refused`: it cannot. */
export type Outcome = {
  readonly result: 'sent' | 'retry' | 'refused'
  /** 0: there was no answer. */
  readonly http_status: number
  /** Short, without anything of the other side's. */
  readonly error: string
  /** How long the receiver wants to be left alone; 0: it did not say. */
  readonly retry_after_ms: number
}

const RETRY_AFTER_MAX_MS = 3_600_000
const AGAIN = new Set([408, 425, 429])

/** Seconds or a date. */
export function retryAfter(header: string | null, now_ms: number): number {
  if (header === null) return 0
  const text = header.trim()
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now_ms
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), RETRY_AFTER_MAX_MS) : 0
}

const reasonOf = (error: unknown): string => {
  const { name, code, cause } = error as {
    name?: string
    code?: unknown
    cause?: { code?: unknown; name?: string }
  }
  if (name === 'TimeoutError') return 'no answer in time'
  const word = cause?.code ?? code
  return typeof word === 'string' && /^[A-Z0-9_]{1,60}$/.test(word) ? word : 'the connection failed'
}

/** Never rejects. */
export async function post(request: HttpRequest, timeout_ms: number, now_ms: number): Promise<Outcome> {
  try {
    const response = await fetch(request.url, {
      method: 'POST',
      headers: { ...request.headers, 'user-agent': 'weir' },
      body: request.body,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeout_ms),
    })
    await response.body?.cancel().catch(() => {})
    const { status } = response
    if (status >= 200 && status < 300)
      return { result: 'sent', http_status: status, error: '', retry_after_ms: 0 }
    const isAgain = status >= 500 || AGAIN.has(status)
    const error =
      status >= 300 && status < 400 ? `HTTP ${status}, a redirect: not followed` : `HTTP ${status}`
    const retry_after_ms = isAgain ? retryAfter(response.headers.get('retry-after'), now_ms) : 0
    return { result: isAgain ? 'retry' : 'refused', http_status: status, error, retry_after_ms }
  } catch (error) {
    return { result: 'retry', http_status: 0, error: reasonOf(error), retry_after_ms: 0 }
  }
}
