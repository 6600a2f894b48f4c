/** How the processes of an installation are born: which program each runs and what it is given. Options travel over IPC, later. */
import { type ChildProcess, fork } from 'node:child_process'
import cluster from 'node:cluster'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { collectorProcess } from '../collector/options.ts'
import { storeProcess } from '../store/options.ts'

/** The source in a checkout, the build in a package. */
const program = (path: string): string => {
  const source = fileURLToPath(new URL(`../${path}.ts`, import.meta.url))
  return existsSync(source) ? source : fileURLToPath(new URL(`../${path}.js`, import.meta.url))
}
const STDIO: ('ignore' | 'inherit' | 'ipc')[] = ['ignore', 'inherit', 'inherit', 'ipc']
// Connections are handed out one by one: left to the kernel, a few workers would get most of them.
cluster.schedulingPolicy = cluster.SCHED_RR

/** No environment of ours: SQL must find no secret there. */
export const forkStore = (): ChildProcess =>
  fork(program('store/main'), [], { execArgv: storeProcess.execArgv, env: storeProcess.env, stdio: STDIO })
export const forkCollector = (): ChildProcess => fork(program('collector/main'), [], collectorProcess)
export const forkHost = (): ChildProcess => fork(program('proxy/host/main'), [], { stdio: STDIO })
export const forkAdmin = (): ChildProcess => fork(program('admin/main'), [], { stdio: STDIO })

/** One of the processes that share the listeners. */
export function forkWorker(): ChildProcess {
  cluster.setupPrimary({ exec: program('proxy/main'), args: [], silent: false })
  return cluster.fork().process
}
