/** What the collector is told of alerts: a section of its options, made from the config by the supervisor. */
import type { AlertsConfig, SloConfig } from '../../../config/alerts.ts'

export type AlertOptions = {
  readonly alerts: AlertsConfig
  readonly slos: Readonly<Record<string, SloConfig>>
  /** The config in force: when it was taken over, and which settings it changed (paths, never values); none at a start. */
  readonly config: { readonly taken_ms: number; readonly changed: readonly string[] }
}
