/**
 * The pulse of the page: every few seconds, while somebody looks at it and has not paused it, everything shown is asked again.
 * Slow answers slow the pulse down, so that a page never asks for more than an eighth of the store's time.
 */
import { useEffect, useState } from 'preact/hooks'

const BEAT_MS = 5_000
const SLACK = 8

let now_ms = Date.now()
let isPaused = false
let slowest_ms = 0
let forced = 0
let timer = 0
const listeners = new Set<() => void>()

const tell = (): void => {
  for (const listener of listeners) listener()
}
function schedule(): void {
  clearTimeout(timer)
  if (!isPaused) timer = setTimeout(beat, Math.max(BEAT_MS, slowest_ms * SLACK)) as unknown as number
}
function beat(): void {
  if (document.visibilityState === 'visible') {
    slowest_ms = 0
    now_ms = Date.now()
    tell()
  }
  schedule()
}
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible' && !isPaused && Date.now() - now_ms > BEAT_MS) refresh()
})
schedule()

/** An answer took this long. */
export const took = (ms: number): void => {
  slowest_ms = Math.max(slowest_ms, ms)
}
export function refresh(): void {
  forced++
  now_ms = Date.now()
  tell()
  schedule()
}
export function setPaused(paused: boolean): void {
  isPaused = paused
  if (paused) clearTimeout(timer)
  else refresh()
  tell()
}

/** The moment of the last beat, the same for everything on the page; `forced` counts the times somebody asked for one. */
export function usePulse(): { now_ms: number; isPaused: boolean; forced: number } {
  const [, redraw] = useState({})
  useEffect(() => {
    const listener = (): void => redraw({})
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }, [])
  return { now_ms, isPaused, forced }
}
