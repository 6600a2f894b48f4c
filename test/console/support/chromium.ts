/** Chromium for tests of the console: an installed one, or null. */
import { existsSync } from 'node:fs'

/** In the environment variable CHROMIUM, or where Debian puts it. */
export const CHROMIUM = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (file) => file && existsSync(file),
)
