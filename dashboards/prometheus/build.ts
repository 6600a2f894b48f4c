/** Writes built/metrics.json: the Prometheus board as Grafana is provisioned with it. */
import { writeFileSync } from 'node:fs'
import { build } from '../grafana/board.ts'
import { metrics } from './board.ts'

export const file = (): string => `${JSON.stringify(build(metrics), null, 2)}\n`

if (import.meta.main) writeFileSync(new URL('built/metrics.json', import.meta.url), file())
