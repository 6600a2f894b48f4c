/** First message of a listen stream. Source: MCP 2026-07-28, subscriptions. */
import { META } from './versions.ts'

export const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'

/** `id`: JSON text of the listen request's id. `honoured`: what of its filter is. */
export const acknowledgement = (id: string, honoured: object): string =>
  `{"jsonrpc":"2.0","method":"${ACKNOWLEDGED}","params":{"_meta":{${JSON.stringify(META.subscriptionId)}:${id}},"notifications":${JSON.stringify(honoured)}}}`
