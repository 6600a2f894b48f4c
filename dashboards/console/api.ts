/** Questions to the collector, with cancel, and the little that may be written: logins and silences. The only place that fetches. */

/** What went wrong, and what the reader can do about it. */
export class Refused extends Error {
  readonly status: number
  readonly fix: string
  readonly code: string
  constructor(status: number, code: string, message: string, fix: string) {
    super(message)
    this.status = status
    this.code = code
    this.fix = fix
  }
}

export type Params = Readonly<Record<string, string | number | null | undefined>>

/** Path of a question; empty parameters are left out. */
export function address(question: string, params: Params = {}): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(params))
    if (value !== null && value !== undefined && value !== '') search.set(name, String(value))
  const text = search.toString()
  return `/api/${question}${text ? `?${text}` : ''}`
}

async function send<T>(path: string, init: RequestInit): Promise<T> {
  let answer: Response
  try {
    answer = await fetch(path, { ...init, credentials: 'same-origin' })
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error
    throw new Refused(
      0,
      'unreachable',
      'Weir does not answer',
      'is it still running? `weir doctor` looks for the cause',
    )
  }
  const body = (await answer.json().catch(() => null)) as {
    error?: { code: string; message: string; fix: string }
  } | null
  if (answer.ok && body !== null) return body as T
  const { code, message, fix } = body?.error ?? {
    code: 'unreadable',
    message: `HTTP ${answer.status}`,
    fix: 'reload the page',
  }
  throw new Refused(answer.status, code, message, fix)
}

/** Throws Refused, or AbortError when `signal` ended it. */
export const ask = <T>(path: string, signal: AbortSignal): Promise<T> => send<T>(path, { signal })

/** A login by way of an issuer. */
export type Offer = { id: string; name: string; href: string }
export type Session = { open: boolean; logged_in: boolean; questions: string[]; offers: Offer[] }
export const session = (): Promise<Session> => send<Session>('/api/session', {})
const post = (path: string, body: unknown): Promise<unknown> =>
  send(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
export const addSilence = (silence: object): Promise<unknown> => post('/api/silences', silence)
export const endSilence = (id: string): Promise<unknown> =>
  send(`/api/silences/${encodeURIComponent(id)}`, { method: 'DELETE' })
export const login = (key: string): Promise<unknown> => post('/api/login', { key })
export const logout = (): Promise<unknown> => post('/api/logout', {})
