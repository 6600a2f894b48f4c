/** Writes built/<board>.json and the alert rules from their sources: what Grafana is provisioned with. The same at every run. */
import { writeFileSync } from 'node:fs'
import { stringify } from 'yaml'
import { ruleFile } from './alerts.ts'
import { type Board, build } from './board.ts'
import { cost } from './cost.ts'
import { health } from './health.ts'
import { overview } from './overview.ts'
import { security } from './security.ts'
import { tools } from './tools.ts'
import { trace } from './trace.ts'
import { usage } from './usage.ts'

const BOARDS: Readonly<Record<string, Board>> = { overview, tools, trace, cost, security, health, usage }

/** Path from here → text of every file that is made. Throws when an alert names a panel that is not there. */
export function files(): Record<string, string> {
  const made = Object.entries(BOARDS).map(([name, board]) => [name, build(board)] as const)
  const panelOf = (uid: string, title: string): number => {
    const panel = made.find(([, board]) => board.uid === uid)?.[1].panels?.find((p) => p.title === title)
    if (panel?.id === undefined) throw new Error(`board ${uid} has no panel "${title}"`)
    return panel.id
  }
  const rules = `# Made by dashboards/grafana/alerts.ts; edit that, then run \`npm run dashboards\`.\n${stringify(ruleFile(panelOf), { lineWidth: 0, aliasDuplicateObjects: false })}`
  return {
    ...Object.fromEntries(
      made.map(([name, board]) => [`built/${name}.json`, `${JSON.stringify(board, null, 2)}\n`]),
    ),
    'provisioning/alerting/rules.yaml': rules,
  }
}

if (import.meta.main)
  for (const [name, text] of Object.entries(files())) writeFileSync(new URL(name, import.meta.url), text)
