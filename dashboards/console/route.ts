/**
 * Where the reader is: the path names the view, the query string holds all of its state (time, filters, sorting, selection), so
 * that an address can be shared, reopened, and walked back from. Knows nothing of views.
 */
import { useEffect, useState } from 'preact/hooks'

/** `path` as the address has it, encoded. */
export type Place = { readonly path: string; readonly params: Readonly<Record<string, string>> }
/** Null removes a parameter. */
export type Changes = Readonly<Record<string, string | null | undefined>>

/** Parameters that go along from view to view: the time looked at. */
const LASTING = ['range', 'from', 'to']

const read = (): Place => ({
  path: location.pathname,
  params: Object.fromEntries(new URLSearchParams(location.search)),
})

let place = read()
const listeners = new Set<() => void>()
const changed = (): void => {
  place = read()
  for (const listener of listeners) listener()
}
addEventListener('popstate', changed)

export function usePlace(): Place {
  const [, redraw] = useState({})
  useEffect(() => {
    const listener = (): void => redraw({})
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }, [])
  return place
}

const search = (params: Readonly<Record<string, string>>): string => {
  const text = new URLSearchParams(params).toString()
  return text ? `?${text}` : ''
}

/** Address of another view; the time range comes along. Segments of `path` must be encoded already. */
export function to(path: string, more: Changes = {}): string {
  const params: Record<string, string> = {}
  for (const name of LASTING) if (place.params[name]) params[name] = place.params[name]
  for (const [name, value] of Object.entries(more)) if (value) params[name] = value
  return path + search(params)
}

/** Address of this view with some of its state changed. */
export function here(changes: Changes): string {
  const params: Record<string, string> = { ...place.params }
  for (const [name, value] of Object.entries(changes))
    if (value) params[name] = value
    else delete params[name]
  return location.pathname + search(params)
}

export function go(address: string, { replace = false }: { replace?: boolean } = {}): void {
  if (address === location.pathname + location.search) return
  if (replace) history.replaceState(null, '', address)
  else history.pushState(null, '', address)
  const before = place.path
  changed()
  if (place.path !== before) {
    scrollTo(0, 0)
    document.getElementById('main')?.focus({ preventScroll: true })
  }
}

/** Follows links of the console without loading the page again; leaves every other link to the browser. */
export function followLinks(): void {
  document.addEventListener('click', (event) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return
    const link = (event.target as Element).closest?.('a[href]') as HTMLAnchorElement | null
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return
    if (/^\/(?:api|login)\//.test(link.pathname) || link.getAttribute('href')!.startsWith('#')) return
    event.preventDefault()
    go(link.pathname + link.search)
  })
}
