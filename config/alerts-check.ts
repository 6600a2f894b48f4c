/** What is wrong with `alerts` and `slos` beyond the form of single fields. */
import { bareHost, isLoopback } from './address.ts'
import { RECEIVER_KINDS, receiverName } from './alert-receivers.ts'
import { ruleOf } from './alert-rules.ts'
import type { AlertsConfig, MaintenanceConfig, ReceiverConfig, SloConfig } from './alerts.ts'
import { isLabelName, parseMatcher } from './matchers.ts'

type Add = (path: PropertyKey[], message: string, fix: string) => void
type Checked = {
  alerts: AlertsConfig
  slos: Readonly<Record<string, SloConfig>>
  retention: { calls_days: number; rollups_days: number }
}

/** Message and fix of an error text "what is wrong, for example …". */
function tell(add: Add, path: PropertyKey[], error: unknown): void {
  const [message, example] = (error as Error).message.split(', for example ')
  add(path, message!, example ? `write something like ${example}` : 'see docs/alerts.md')
}

/** Problems go to `add`; returns warnings. */
export function checkAlerts({ alerts, slos, retention }: Checked, add: Add): string[] {
  checkReceivers(alerts.to, add)
  for (const [name, rule] of Object.entries(alerts.rules)) {
    const path = ['alerts', 'rules', name]
    for (const label of Object.keys(rule.labels ?? {}))
      if (!isLabelName(label))
        add([...path, 'labels', label], 'is no name for a label', 'use letters, digits and _')
    try {
      ruleOf(name, rule)
    } catch (error) {
      tell(add, path, error)
    }
  }
  alerts.maintenance.forEach((window, i) => {
    checkMatchers(window.match, ['alerts', 'maintenance', i, 'match'], add)
    checkMaintenance(window, ['alerts', 'maintenance', i], add)
  })
  const warnings: string[] = []
  for (const [name, slo] of Object.entries(slos)) {
    checkSlo(name, slo, add)
    const isRaw = slo.objective === 'cost' || slo.team !== undefined || slo.each === 'team'
    const kept_days = isRaw
      ? retention.calls_days
      : Math.max(retention.calls_days, Math.min(retention.rollups_days, 90))
    if (slo.window_days > kept_days)
      warnings.push(
        `slos.${name}: its window is ${slo.window_days} days, but what it counts is kept for ${kept_days}`,
      )
  }
  return warnings
}

function checkReceivers(receivers: readonly ReceiverConfig[], add: Add): void {
  const taken = new Set<string>()
  receivers.forEach((receiver, i) => {
    const path = ['alerts', 'to', i]
    const kinds = RECEIVER_KINDS.filter((kind) => receiver[kind] !== undefined)
    if (kinds.length !== 1) {
      add(
        path,
        `has ${kinds.length === 0 ? 'no' : 'more than one'} kind`,
        `write one of: ${RECEIVER_KINDS.join(', ')}`,
      )
      return
    }
    const kind = kinds[0]!
    const name = receiverName(receiver)
    if (taken.has(name)) add(path, `the name \`${name}\` is taken`, 'give each receiver a `name` of its own')
    taken.add(name)
    checkMatchers(receiver.match, [...path, 'match'], add)
    const url = new URL(receiver[kind]!.url)
    if (url.protocol === 'http:' && !isLoopback(bareHost(url.hostname)) && !receiver.allow_http)
      add(
        [...path, kind, 'url'],
        'is not encrypted',
        'write https://, or set `allow_http: true` on this receiver',
      )
  })
}

function checkMatchers(matchers: readonly string[], path: PropertyKey[], add: Add): void {
  matchers.forEach((text, i) => {
    try {
      parseMatcher(text)
    } catch (error) {
      tell(add, [...path, i], error)
    }
  })
}

function checkMaintenance(
  { time_zone, days, from, to }: MaintenanceConfig,
  path: PropertyKey[],
  add: Add,
): void {
  try {
    Temporal.Now.zonedDateTimeISO(time_zone)
  } catch {
    add([...path, 'time_zone'], 'there is no such time zone', 'write something like Europe/Berlin')
  }
  const isDate = (text: string): boolean => text.includes('T')
  if (isDate(from) !== isDate(to) || isDate(from) === (days !== undefined)) {
    add(
      path,
      'is neither weekly nor dated',
      'write days, from: "02:00" and to: "04:00", or two moments without days',
    )
    return
  }
  if (!isDate(from)) return
  try {
    if (Temporal.PlainDateTime.compare(from, to) >= 0)
      add([...path, 'to'], 'is not after `from`', 'write a later moment')
  } catch {
    add(path, 'there is no such day or time', 'write something like "2027-01-31T22:00"')
  }
}

function checkSlo(name: string, slo: SloConfig, add: Add): void {
  const path = ['slos', name]
  if ((slo.objective === 'latency') !== (slo.under_ms !== undefined))
    add(
      path,
      '`under_ms` belongs to the objective latency, and only there',
      'write { objective: latency, under_ms: 500 }',
    )
  if ((slo.objective === 'cost') !== (slo.under_usd !== undefined))
    add(
      path,
      '`under_usd` belongs to the objective cost, and only there',
      'write { objective: cost, under_usd: 0.01 }',
    )
}
