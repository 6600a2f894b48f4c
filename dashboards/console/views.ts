/** Which view an address shows. The paths are those the collector serves the page at (collector/console/pages.ts). */
import type { FunctionComponent } from 'preact'
import { Awaited } from './views/awaited.ts'
import { Overview } from './views/overview.ts'

/** `rest`: what follows the first word of the path, decoded segments. */
export type ViewProps = { rest: readonly string[] }
export type View = {
  readonly word: string
  readonly name: string
  /** Key after `g`. */
  readonly key: string
  readonly component: FunctionComponent<ViewProps>
  /** Whether it stands in the navigation. */
  readonly isListed: boolean
}

const view = (
  word: string,
  name: string,
  key: string,
  component: FunctionComponent<ViewProps>,
  isListed = true,
): View => ({ word, name, key, component, isListed })

export const VIEWS: readonly View[] = [
  view('', 'Overview', 'o', Overview),
  view('tools', 'Tools', 't', Awaited),
  view('runs', 'Runs', 'r', Awaited),
  view('cost', 'Cost', 'c', Awaited),
  view('callers', 'Callers', 'l', Awaited),
  view('servers', 'Servers', 's', Awaited),
  view('audit', 'Audit', 'a', Awaited),
  view('alerts', 'Alerts', 'e', Awaited),
  view('health', 'Weir health', 'h', Awaited),
  view('trace', 'Trace', '', Awaited, false),
]
