/**
 * Who has to be told what now: alerts are put into groups for each receiver, and a group is told when something in it changed,
 * not sooner than its pace allows, and again after the repeat interval. Pure: the time is an argument.
 * Invariant: nobody hears that an alert is over who did not hear that it fired; what was told is over is told, silence or not.
 */
import { createHash } from 'node:crypto'
import type { Labels } from '../../../config/matchers.ts'
import { type Alert, isActive } from './alert.ts'

/** `group`: all alerts of a group in one message. `alert`: one message an alert. `changes`: what changed; the receiver groups and repeats. */
export type Unit = 'group' | 'alert' | 'changes'
export type Receiver = {
  readonly name: string
  readonly unit: Unit
  readonly send_resolved: boolean
  isMeant(labels: Labels): boolean
}
export type Pace = {
  readonly group_by: readonly string[]
  readonly group_wait_ms: number
  readonly group_interval_ms: number
  readonly repeat_interval_ms: number
}

/** An alert as a message tells it. */
export type Told = {
  readonly status: 'firing' | 'resolved'
  readonly fingerprint: string
  readonly labels: Labels
  readonly annotations: Readonly<Record<string, string>>
  readonly severity: string
  readonly value: number
  readonly starts_ms: number
  readonly ends_ms: number
}
export type Message = {
  /** Idempotency key: equal for the same news to the same receiver, whoever makes it. */
  readonly key: string
  readonly receiver: string
  readonly group_key: string
  readonly group_labels: Labels
  readonly reason: 'news' | 'repeat'
  readonly alerts: readonly Told[]
  /** Fingerprints that fire as far as the receiver knows, once it has this. */
  readonly firing: readonly string[]
  readonly resolved: readonly string[]
}
/** What a receiver was last told of a group. */
export type Last = { readonly at_ms: number; readonly firing: ReadonlySet<string> }
export const placeOf = (receiver: string, group_key: string): string => `${receiver}\n${group_key}`

function groupOf(unit: Unit, by: readonly string[], alert: Alert): Labels {
  if (unit === 'changes') return {}
  if (unit === 'alert') return { fingerprint: alert.fingerprint }
  return Object.fromEntries(by.map((name) => [name, alert.labels[name] ?? '']))
}

const tell = (alert: Alert): Told => ({
  status: alert.standing ? 'firing' : 'resolved',
  fingerprint: alert.fingerprint,
  labels: alert.labels,
  annotations: alert.annotations,
  severity: alert.severity,
  value: alert.value,
  starts_ms: alert.starts_ms,
  ends_ms: alert.ends_ms,
})

const byPrint = (a: { fingerprint: string }, b: { fingerprint: string }): number =>
  a.fingerprint < b.fingerprint ? -1 : 1

function messageOf(
  receiver: Receiver,
  group_key: string,
  group_labels: Labels,
  reason: Message['reason'],
  told: readonly Told[],
  firing: readonly string[],
  last: Last | undefined,
): Message {
  const news = told.map((t) => [t.fingerprint, t.status, t.starts_ms])
  const key = createHash('sha256')
    .update(JSON.stringify([receiver.name, group_key, last?.at_ms ?? 0, news]))
    .digest('hex')
    .slice(0, 32)
  const resolved = told.filter((t) => t.status === 'resolved').map((t) => t.fingerprint)
  return { key, receiver: receiver.name, group_key, group_labels, reason, alerts: told, firing, resolved }
}

type Group = { labels: Labels; alerts: Alert[] }

function groupsOf(receiver: Receiver, pace: Pace, alerts: readonly Alert[]): Map<string, Group> {
  const groups = new Map<string, Group>()
  for (const alert of alerts) {
    if (!receiver.isMeant(alert.labels)) continue
    const labels = groupOf(receiver.unit, pace.group_by, alert)
    const key = JSON.stringify(labels)
    const group = groups.get(key) ?? { labels, alerts: [] }
    groups.set(key, group)
    group.alerts.push(alert)
  }
  return groups
}

function planGroup(
  receiver: Receiver,
  pace: Pace,
  group_key: string,
  group: Group,
  last: Last | undefined,
  now_ms: number,
): Message | null {
  const known = last?.firing ?? new Set<string>()
  const active = group.alerts.filter(isActive).sort(byPrint)
  const loud = active.filter((alert) => alert.silenced_by === '')
  const fresh = loud.filter((alert) => !known.has(alert.fingerprint))
  const over = group.alerts
    .filter((alert) => alert.standing === null && known.has(alert.fingerprint))
    .sort(byPrint)
  // A silenced alert that was told still fires as far as the receiver knows.
  const firing = active
    .filter((alert) => alert.silenced_by === '' || known.has(alert.fingerprint))
    .map((alert) => alert.fingerprint)
  const make = (reason: Message['reason'], told: readonly Alert[]): Message =>
    messageOf(receiver, group_key, group.labels, reason, told.map(tell), firing, last)
  if (fresh.length > 0 || over.length > 0) {
    if (receiver.unit === 'group') {
      const isNew = known.size === 0
      const first_ms = Math.min(...fresh.map((alert) => alert.standing!.since_ms))
      const due_ms = isNew ? first_ms + pace.group_wait_ms : last!.at_ms + pace.group_interval_ms
      if (now_ms < due_ms) return null
    }
    // What still fires is no news to a receiver that does not want to hear of ends.
    const isWhole = receiver.unit === 'group' && (fresh.length > 0 || receiver.send_resolved)
    return make('news', isWhole ? [...loud, ...over] : [...fresh, ...over])
  }
  if (receiver.unit === 'changes' || !last || loud.length === 0) return null
  return now_ms - last.at_ms >= pace.repeat_interval_ms ? make('repeat', loud) : null
}

/** Messages that are due. `alerts`: those that stand, and those over that somebody may still think firing. */
export function planMessages(
  alerts: readonly Alert[],
  receivers: readonly Receiver[],
  pace: Pace,
  last: ReadonlyMap<string, Last>,
  now_ms: number,
): Message[] {
  return receivers.flatMap((receiver) =>
    [...groupsOf(receiver, pace, alerts)].flatMap(
      ([key, group]) =>
        planGroup(receiver, pace, key, group, last.get(placeOf(receiver.name, key)), now_ms) ?? [],
    ),
  )
}
