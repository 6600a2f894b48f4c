/** The version of this package, read where it lies: beside the source, or one folder above the build. */
import { readFileSync } from 'node:fs'

export function version(): string {
  for (const path of ['../package.json', '../../package.json'])
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version
    } catch {
      // Not at this place.
    }
  return 'unknown'
}
