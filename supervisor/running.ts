/**
 * Finds the Weir of this user that listens at an address, by the notes that installations leave in the folders of their sockets.
 * Invariant: no folder is believed that anybody else may write to, so nobody can draw another's requests to himself.
 */
import { constants, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bareHost, isLoopback } from '../config/address.ts'
import { localSocket } from '../proxy/options.ts'
import { isAlive, noteFile, RUN_PREFIX, type RunNote } from './data-folder.ts'

/** The socket to reach it by, and the number of the listener that was meant. */
export type Running = { readonly socket: string; readonly listener: number }

/** The running Weir of this user that an http:// URL leads to; null when there is none to be found. */
export async function runningAt(url: URL): Promise<Running | null> {
  let names: string[]
  try {
    names = readdirSync(tmpdir()).filter((name) => name.startsWith(RUN_PREFIX))
  } catch {
    return null
  }
  for (const name of names)
    try {
      const folder = join(tmpdir(), name)
      const { uid, mode } = lstatSync(folder)
      if (uid !== process.getuid?.() || (mode & (constants.S_IFMT | 0o077)) !== constants.S_IFDIR) continue
      const note = JSON.parse(readFileSync(noteFile(folder), 'utf8')) as RunNote
      const listener = note.listeners.findIndex((at) => leadsTo(url, new URL(at)))
      if (listener < 0 || !isAlive(note.pid)) continue
      const socket = localSocket(folder)
      // What a killed one left looks alive once its process id is another's.
      if (await answers(socket)) return { socket, listener }
    } catch {
      // Gone meanwhile, or not ours.
    }
  return null
}

/** Whether somebody listens on a socket that we may open. */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = connect(path, () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })

/** Whether who asks for `url` on this machine comes to what listens at `at`. */
export function leadsTo(url: URL, at: URL): boolean {
  if (url.protocol !== at.protocol || url.port !== at.port) return false
  const [asked, bound] = [bareHost(url.hostname), bareHost(at.hostname)]
  if (asked === bound) return true
  if (!isLoopback(asked)) return false
  // A name has an address of either family, and "any" is all of one.
  if (asked === 'localhost') return isLoopback(bound) || bound === '0.0.0.0' || bound === '::'
  return bound === 'localhost' || bound === (asked!.includes(':') ? '::' : '0.0.0.0')
}
