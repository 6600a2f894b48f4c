/** A question of a view and how it stands: asked, answered, refused. Asks again when its parameters or the pulse change. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { address, ask, type Params, Refused } from './api.ts'
import { took, usePulse } from './live.ts'

export type Answer<T> = {
  /** The last answer to this question, kept while the next is on its way. */
  readonly rows: T | null
  readonly error: Refused | null
  readonly isAsking: boolean
  /** When the question on its way was sent, milliseconds of performance.now(). */
  readonly asked_at: number
  /** Address of the same rows as CSV. */
  readonly csv: string
  cancel(): void
  retry(): void
}

type State<T> = { path: string; rows: T | null; error: Refused | null; isAsking: boolean; asked_at: number }

let onLoginNeeded: () => void = () => {}
export const whenLoginIsNeeded = (act: () => void): void => {
  onLoginNeeded = act
}

/**
 * `key` names what is asked without the moving edge of time: when it changes, old rows are dropped. A question about a time is
 * asked again when that time moves (milliseconds; whole days are text), any other with every beat, unless `isStill`: what is
 * past does not change.
 */
export function useAnswer<T>(question: string, params: Params | null, key = '', isStill = false): Answer<T> {
  const path = params === null ? '' : address(question, params)
  const [state, setState] = useState<State<T>>({
    path: '',
    rows: null,
    error: null,
    isAsking: false,
    asked_at: 0,
  })
  const [again, setAgain] = useState(0)
  const running = useRef<{ abort: AbortController; key: string } | null>(null)
  const { now_ms, forced } = usePulse()
  const beat = isStill || typeof params?.to === 'number' ? 0 : now_ms
  const identity = `${question} ${key}`
  const shown = useRef(identity)
  useEffect(() => {
    if (!path) return
    // The pulse does not push aside a question that is still being answered; another question does.
    if (running.current?.key === identity) return
    running.current?.abort.abort()
    const abort = new AbortController()
    const mine = { abort, key: identity }
    running.current = mine
    const started = performance.now()
    const isNew = shown.current !== identity
    shown.current = identity
    setState((before) => ({
      ...before,
      path,
      rows: isNew ? null : before.rows,
      isAsking: true,
      asked_at: started,
      ...(isNew ? { error: null } : {}),
    }))
    const end = (next: Partial<State<T>>): void => {
      if (running.current !== mine) return
      running.current = null
      took(performance.now() - started)
      setState((before) => ({ ...before, ...next, isAsking: false }))
    }
    ask<T>(path, abort.signal).then(
      (rows) => end({ rows, error: null }),
      (error: unknown) => {
        if ((error as Error).name === 'AbortError')
          return end({ error: new Refused(499, 'cancelled', 'cancelled', 'ask again when you like') })
        if (error instanceof Refused && error.status === 401) onLoginNeeded()
        end({
          error:
            error instanceof Refused ? error : new Refused(0, 'defect', String(error), 'reload the page'),
        })
      },
    )
  }, [path, identity, again, forced, beat])
  useEffect(() => () => running.current?.abort.abort(), [])
  return {
    rows: shown.current === identity ? state.rows : null,
    error: state.error,
    isAsking: state.isAsking || (path !== '' && state.path === ''),
    asked_at: state.asked_at,
    csv: path ? `${path}${path.includes('?') ? '&' : '?'}format=csv` : '',
    cancel: () => running.current?.abort.abort(),
    retry: () => setAgain((n) => n + 1),
  }
}
