/**
 * One term of the evaluator: reads back how things stood, looks at all rules, moves every alert, writes the changes down, and only
 * then says whom to tell. What is in memory is what is in the store: after an error the next evaluation begins from there.
 * Invariant: every change of state is stored before anybody hears of it, so a restart neither forgets nor repeats one.
 */
import { rulesInForce } from '../../../config/alert-rules.ts'
import { type Log, reasonOf } from '../../log.ts'
import { run as readHealth } from '../../queries/alert-health.ts'
import type { Reader } from '../../queries/client.ts'
import type { Store } from '../../sink/store.ts'
import { type Advance, advance } from './advance.ts'
import { type Alert, type Annotations, isActive } from './alert.ts'
import { evaluate } from './evaluate.ts'
import { type Last, type Message, type Pace, placeOf, planMessages, type Told } from './groups.ts'
import { type Change, readAlerts, writeAlerts } from './history.ts'
import { openMaintenance } from './maintenance.ts'
import type { AlertOptions } from './options.ts'
import type { Outbox } from './outbox.ts'
import { type Target, targetOf } from './receivers/receivers.ts'
import { openSilencer } from './silences.ts'
import { openRuleBook, openSloBook } from './status.ts'

/** How far back windows end beyond what calls are measured to need, and at most. */
const LAG_MORE_MS = 5_000
const LAG_MAX_MS = 120_000
const LAG_EVERY_MS = 60_000
const LAG_WINDOW_MS = 900_000
/** What nobody was told of for this long is forgotten. */
const LAST_MS = 86_400_000
/** Alerts whose texts are made in one evaluation; each may ask the store. */
const ANNOTATED_MAX = 100

export type EngineParts = {
  store: Store
  reader: Reader
  outbox: Outbox
  log: Log
  options(): AlertOptions
  instance: string
  /** Base of links when the config names none. */
  console_url: string
  /** Told after every evaluation: how many alerts are in a state. */
  onState(state: 'pending' | 'firing' | 'nodata' | 'silenced', count: number): void
}

export type Engine = {
  /** One evaluation, under the lease of `epoch`. Rejects when the store cannot be asked; nothing has changed then. */
  run(now_ms: number, epoch: number): Promise<void>
  targets(): readonly Target[]
  /** What fires as far as a receiver knows, for those that must be told again and again. */
  firing(target: Target): Told[]
}

type Settings = {
  of: AlertOptions
  /** Base of links, without a slash at its end. */
  console_url: string
  pace: Pace
  targets: Target[]
  isQuiet: ReturnType<typeof openMaintenance>
  rules: ReturnType<typeof rulesInForce>
}

function settingsOf(of: AlertOptions, instance: string, fallback_url: string): Settings {
  const { alerts } = of
  const console_url = (alerts.console_url ?? fallback_url).replace(/\/$/, '')
  return {
    of,
    console_url,
    pace: {
      group_by: alerts.group_by,
      group_wait_ms: alerts.group_wait_s * 1000,
      group_interval_ms: alerts.group_interval_s * 1000,
      repeat_interval_ms: alerts.repeat_interval_s * 1000,
    },
    targets: alerts.to.map((receiver) => targetOf(receiver, { instance, console_url })),
    isQuiet: openMaintenance(alerts.maintenance),
    rules: rulesInForce(alerts.rules),
  }
}

export function openEngine(parts: EngineParts): Engine {
  const { store, reader, outbox, log } = parts
  let alerts = new Map<string, Alert>()
  let last = new Map<string, Last>()
  let loaded_epoch = -1
  let settings: Settings | null = null
  let rules = openRuleBook(store, reader)
  let slos = openSloBook(store, reader)
  let lag = { ms: LAG_MORE_MS, measured_ms: 0 }

  const inForce = (): Settings => {
    const options = parts.options()
    if (settings?.of !== options) settings = settingsOf(options, parts.instance, parts.console_url)
    return settings
  }
  const load = async (now_ms: number, epoch: number): Promise<void> => {
    const told = new Map(await outbox.load(now_ms))
    const found = await readAlerts(store, [...new Set([...told.values()].flatMap((one) => [...one.firing]))])
    last = told
    alerts = new Map(found.map((alert) => [alert.fingerprint, alert]))
    rules = openRuleBook(store, reader)
    slos = openSloBook(store, reader)
    loaded_epoch = epoch
    const standing = found.filter((alert) => alert.standing).length
    if (standing > 0) log('info', 'alerts go on where they stood', { alerts: standing })
  }
  const lagOf = async (now_ms: number, lag_s: number | undefined): Promise<number> => {
    if (lag_s !== undefined) return lag_s * 1000
    if (now_ms - lag.measured_ms >= LAG_EVERY_MS) {
      const { ingest_age_s } = await readHealth(reader, { from_ms: now_ms - LAG_WINDOW_MS, to_ms: now_ms })
      lag = { ms: Math.min(LAG_MAX_MS, ingest_age_s * 1000 + LAG_MORE_MS), measured_ms: now_ms }
    }
    return lag.ms
  }
  /** Everything that is told needs its texts; what only goes on keeps those it has, or gets them when too many came at once. */
  const annotated = async (advances: readonly Advance[]): Promise<Map<Advance, Annotations>> => {
    const texts = new Map<Advance, Annotations>()
    for (const one of advances)
      if (
        (one.from !== one.to || one.alert.annotations.summary === undefined) &&
        one.sample &&
        one.alert.standing &&
        texts.size < ANNOTATED_MAX
      )
        texts.set(one, await one.sample.annotate())
    return texts
  }
  const changesOf = async (
    advances: readonly Advance[],
    quiet: (alert: Alert) => string,
  ): Promise<Change[]> => {
    const texts = await annotated(advances)
    return advances.map((one) => {
      const silenced_by = one.alert.standing ? quiet(one.alert) : one.alert.silenced_by
      const annotations = texts.get(one) ?? one.alert.annotations
      return { alert: { ...one.alert, silenced_by, annotations }, from: one.from, to: one.to }
    })
  }
  const tell = async (now: Settings, now_ms: number): Promise<void> => {
    const messages = planMessages([...alerts.values()], now.targets, now.pace, last, now_ms)
    for (const message of messages) {
      await outbox.queue([message], now_ms)
      last.set(placeOf(message.receiver, message.group_key), lastOf(message, now_ms))
    }
    prune(now_ms)
  }
  const prune = (now_ms: number): void => {
    for (const [place, { at_ms, firing }] of last)
      if (firing.size === 0 && now_ms - at_ms > LAST_MS) last.delete(place)
    const told = new Set([...last.values()].flatMap(({ firing }) => [...firing]))
    // One that is over stays while somebody still has to hear it.
    for (const [fingerprint, alert] of alerts)
      if (!alert.standing && !told.has(fingerprint)) alerts.delete(fingerprint)
  }
  const report = (): void => {
    const standing = [...alerts.values()].filter((alert) => alert.standing)
    for (const state of ['pending', 'firing', 'nodata'] as const)
      parts.onState(state, standing.filter((alert) => alert.standing!.state === state).length)
    parts.onState('silenced', standing.filter((alert) => isActive(alert) && alert.silenced_by !== '').length)
  }

  return {
    async run(now_ms, epoch) {
      if (loaded_epoch !== epoch) await load(now_ms, epoch)
      // Whatever fails below may have been stored all the same: then the next run reads it back.
      loaded_epoch = -1
      const now = inForce()
      const config = now.of.alerts
      const to_ms = now_ms - (await lagOf(now_ms, config.lag_s))
      const counted = slos.count(now.of.slos, now_ms, to_ms)
      // Rules about something else go on without them.
      await counted.catch((error: unknown) =>
        log('warn', 'objectives cannot be counted', { reason: reasonOf(error) }),
      )
      const look = {
        reader,
        now_ms,
        to_ms,
        console_url: now.console_url,
        runbook_url: config.runbook_url,
        slos: counted,
      }
      const evaluations = await evaluate(now.rules, look, reasonOf)
      const silencer = await openSilencer(reader, (id) => log('warn', 'a silence cannot be read', { id }))
      const advances = advance({
        alerts,
        evaluations,
        missing_evaluations: config.missing_evaluations,
        now_ms,
      })
      const changes = await changesOf(
        advances,
        (alert) => silencer(alert.labels, now_ms) || now.isQuiet(alert.labels, now_ms),
      )
      await writeAlerts(
        store,
        changes.filter((change) => isWorthARow(change, alerts)),
        now_ms,
        epoch,
      )
      for (const { alert } of changes) alerts.set(alert.fingerprint, alert)
      for (const { alert, from, to } of changes)
        if (from !== to)
          log('info', 'an alert changed its state', {
            rule: alert.rule,
            fingerprint: alert.fingerprint,
            from,
            to,
          })
      await tell(now, now_ms)
      await rules.write(evaluations, now_ms)
      loaded_epoch = epoch
      report()
    },
    targets: () => inForce().targets,
    firing(target) {
      const known = new Set(
        [...last].flatMap(([place, { firing }]) => (place.startsWith(`${target.name}\n`) ? [...firing] : [])),
      )
      return [...alerts.values()]
        .filter((alert) => known.has(alert.fingerprint) && isActive(alert) && alert.silenced_by === '')
        .map(({ standing: _standing, rule: _rule, silenced_by: _quiet, ...alert }) => ({
          ...alert,
          status: 'firing' as const,
        }))
    },
  }
}

const lastOf = (message: Message, at_ms: number): Last => ({ at_ms, firing: new Set(message.firing) })

/** Edges, and what a restart could not know otherwise: that it is quiet now, has begun to clear, or has got its texts. */
function isWorthARow({ alert, from, to }: Change, before: ReadonlyMap<string, Alert>): boolean {
  if (from !== to) return true
  const was = before.get(alert.fingerprint)
  return (
    was === undefined ||
    was.silenced_by !== alert.silenced_by ||
    was.annotations !== alert.annotations ||
    was.standing?.clear_ms !== alert.standing?.clear_ms
  )
}
