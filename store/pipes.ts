/**
 * Named pipes through which the engine writes results: SELECT ... INTO OUTFILE '<pipe>'.
 * Every format then streams as one document, planning stays off the event loop, a slow client slows the engine by a full
 * pipe, and 47 MB of Native took 145 ms where the buffered call took 480. Without `mkfifo` results are buffered.
 */
import { execFile } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** One result on its way. `bytes` ends once the statement has settled and everything was read. */
export type ResultPipe = {
  path: string
  bytes: Socket
  /** To be called when the statement has settled; until then the pipe stays open at both ends. */
  settled(): void
}

export type Pipes = {
  /** A pipe nobody uses, or null when there is none: then the result must be buffered. */
  take(): ResultPipe | null
}

async function makePipes(paths: string[]): Promise<string[]> {
  try {
    // The process runs with an empty environment, so the search path is named here.
    await promisify(execFile)('mkfifo', ['-m', '600', ...paths], {
      env: { PATH: '/usr/bin:/bin:/usr/local/bin' },
    })
    return paths
  } catch (error) {
    const why = error instanceof Error ? error.message : error
    process.stderr.write(`store: no mkfifo here, results are buffered (${why})\n`)
    return []
  }
}

/** Makes `count` pipes in `directory`, which must exist and belong to this process alone. */
export async function createPipes(directory: string, count: number): Promise<Pipes> {
  const free = await makePipes(Array.from({ length: count }, (_, i) => join(directory, String(i))))
  return {
    take() {
      const path = free.pop()
      if (path === undefined) return null
      const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
      // The engine may open the file twice (after an error it tries once more), and opening a pipe without a reader
      // would hold its thread for ever. So both ends stay open, whatever the client does, until the statement is over.
      const holder = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
      const bytes = new Socket({ fd, readable: true, writable: false })
      bytes.on('error', () => {})
      let isSettled = false
      bytes.once('close', () => isSettled && free.push(path))
      return {
        path,
        bytes,
        settled() {
          if (isSettled) return
          isSettled = true
          closeSync(holder)
          if (bytes.destroyed) free.push(path)
        },
      }
    },
  }
}
