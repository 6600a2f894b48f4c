/** Folders of tests: made under the system's temporary folder, removed when their owner says so. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Folder = { readonly path: string; remove(): void }

export function makeFolder(name: string): Folder {
  const path = mkdtempSync(join(tmpdir(), `weir-test-${name}-`))
  return {
    path,
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  }
}

/** A small file system of its own at `path`; null, with the reason printed, where mounting is not allowed. */
export function mountSmallDisk(path: string, size_bytes: number): { unmount(): void } | null {
  mkdirSync(path, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size_bytes},mode=700`, 'tmpfs', path], {
      stdio: 'pipe',
    })
  } catch (error) {
    process.stdout.write(
      `SKIPPED: a small disk cannot be mounted here (${(error as Error).message.split('\n')[0]})\n`,
    )
    return null
  }
  return {
    unmount() {
      execFileSync('umount', ['-l', path], { stdio: 'pipe' })
    },
  }
}
