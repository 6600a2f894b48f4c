/** What a proxy worker is started with. Sent by the supervisor over IPC, because it holds secrets. */
import type { Config } from '../config/schema.ts'

export type WorkerOptions = {
  config: Config
  /** Place among the workers, w1, w2, …; a restarted worker takes the place of the one that died. */
  slot: string
  /** Identity of this process in the spool; never reused. */
  worker_id: string
  spool_folder: string
  /** Folder of the Unix sockets of this installation. */
  run_folder: string
  host_socket: string
  secrets: { session: string; hash: string }
}

/** Where a worker listens for requests that other workers pass on. */
export const workerSocket = (run_folder: string, slot: string): string => `${run_folder}/worker-${slot}.sock`
/**
 * Where all workers take what `weir connect` passes on: its clients speak stdio. Who may open it is the file system's to say:
 * the folder is its owner's alone, so nobody else can claim that transport.
 */
export const localSocket = (run_folder: string): string => `${run_folder}/local.sock`
/** Header that numbers the listener a client came to, or meant; only read on sockets of this installation. */
export const HOP_LISTENER = 'weir-hop-listener'
