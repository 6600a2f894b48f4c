/** Kinds of receivers, and the name of one. Without zod: the collector reads it too. */
import type { ReceiverConfig } from './alerts.ts'

export const RECEIVER_KINDS = ['alertmanager', 'webhook', 'slack', 'pagerduty'] as const
export const receiverName = (receiver: ReceiverConfig): string =>
  receiver.name ?? RECEIVER_KINDS.find((kind) => receiver[kind] !== undefined) ?? ''
