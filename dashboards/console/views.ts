/** Which view an address shows. The paths are those the collector serves the page at (collector/console/pages.ts). */
import type { FunctionComponent } from 'preact'
import { Alerts } from './views/alerts.ts'
import { Audit } from './views/audit.ts'
import { Callers } from './views/callers.ts'
import { Cost } from './views/cost.ts'
import { Health } from './views/health.ts'
import { Overview } from './views/overview.ts'
import { Policy } from './views/policy.ts'
import { Runs } from './views/runs.ts'
import { Servers } from './views/servers.ts'
import { Tools } from './views/tools.ts'
import { Trace } from './views/trace.ts'

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
  view('tools', 'Tools', 't', Tools),
  view('runs', 'Runs', 'r', Runs),
  view('cost', 'Cost', 'c', Cost),
  view('callers', 'Callers', 'l', Callers),
  view('servers', 'Servers', 's', Servers),
  view('audit', 'Audit', 'a', Audit),
  view('policy', 'Policy', 'p', Policy),
  view('alerts', 'Alerts', 'e', Alerts),
  view('health', 'Weir health', 'h', Health),
  view('trace', 'Trace', '', Trace, false),
]
