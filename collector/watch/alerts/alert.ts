/** An alert as the rooms here hand it around, and its fingerprint. Pure. */
import { createHash } from 'node:crypto'
import type { Severity } from '../../../config/alert-rules.ts'
import type { Labels } from '../../../config/matchers.ts'
import type { Seen, Standing } from './states.ts'

/** What a rule saw of one series in one evaluation. */
export type Sample = {
  readonly rule: string
  readonly severity: Severity
  /** With alertname and severity; equal labels are one alert. */
  readonly labels: Labels
  readonly seen: Seen
  readonly value: number
  /** Made only when an alert changes its state: it may ask the store. */
  annotate(): Promise<Annotations>
}

/** Texts for people. Links are URLs or paths; `evidence` is SQL that shows what was seen; `traces` ids, divided by blanks. */
export type Annotations = Readonly<Record<string, string>>

/** An alert that is not inactive, or is over and may still have to be told. */
export type Alert = {
  readonly rule: string
  readonly severity: string
  readonly fingerprint: string
  readonly labels: Labels
  readonly annotations: Annotations
  readonly value: number
  /** Null: it is over. */
  readonly standing: Standing | null
  readonly starts_ms: number
  /** When it ended; 0 while it is not over. */
  readonly ends_ms: number
  /** Id of the silence or name of the maintenance window that keeps it quiet; '' when none does. */
  readonly silenced_by: string
}

/** 16 hex digits over the labels, in order of their names. */
export function fingerprintOf(labels: Labels): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16)
}

/** Whether somebody ought to know: it fires, or its data went away. */
export const isActive = (alert: Alert): boolean =>
  alert.standing !== null && alert.standing.state !== 'pending'
