/** Colours of the charts as the style sheet has them now, and word when the theme changes. */
import { useEffect, useState } from 'preact/hooks'

export type Palette = { text: string; muted: string; grid: string; surface: string; of(name: string): string }

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement)
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return { text: of('text'), muted: of('muted'), grid: of('grid'), surface: of('surface'), of }
}

const isDark = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<() => void>()
const tell = (): void => {
  for (const listener of listeners) listener()
}
isDark.addEventListener('change', tell)

export type Theme = 'auto' | 'light' | 'dark'
export const chosenTheme = (): Theme =>
  (document.documentElement.dataset.theme as Theme | undefined) ?? 'auto'

export function chooseTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
  try {
    localStorage.setItem('weir-theme', theme)
  } catch {}
  tell()
}

/** Counts up when colours change: what is painted on a canvas has to be painted anew. */
export function useThemeVersion(): number {
  const [version, setVersion] = useState(0)
  useEffect(() => {
    const listener = (): void => setVersion((n) => n + 1)
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }, [])
  return version
}
