/**
 * Starts a real store process the way the supervisor does, on a directory of its own, and asks it over HTTP.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type StoreOptions, storeProcess } from '../../../store/options.ts'
import type { FromChild } from '../../../supervisor/link.ts'

export const writer = { user: 'weir', password: 'writer-secret' }
export const reader = { user: 'grafana', password: 'reader-secret' }

export type StoreChild = {
  url: string
  data_path: string
  process: ChildProcess
  /** Sends a heartbeat; true when it was answered in time. */
  beats(wait_ms: number): Promise<boolean>
  ask(question: string): Promise<unknown>
  /** Resolves with why it was refused, undefined when it was taken. */
  reload(changes: Partial<StoreOptions>): Promise<string | undefined>
  /** Asks it to drain; resolves with the exit code. */
  drain(): Promise<number | null>
  /** SIGKILL, and waits for the end. The directory stays. */
  kill(): Promise<void>
  /** Kills it if need be and removes the directory. */
  remove(): Promise<void>
}

export function optionsFor(data_path: string, changes: Partial<StoreOptions> = {}): StoreOptions {
  const listen = { host: '127.0.0.1', port: 0 }
  const memory_max_bytes = 1024 * 1024 * 1024
  return {
    listen,
    data_path,
    database: 'weir',
    memory_max_bytes,
    statements_max: 8,
    writer,
    reader,
    ...changes,
  }
}

export const freshDirectory = (): string => mkdtempSync(join(tmpdir(), 'weir-store-'))

const ended = async (child: ChildProcess): Promise<number | null> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode
}

/** Rejects with the child's own words when it cannot start. */
export async function startStore(changes: Partial<StoreOptions> = {}, cwd?: string): Promise<StoreChild> {
  const options = optionsFor(changes.data_path ?? freshDirectory(), changes)
  const main = fileURLToPath(new URL('../../../store/main.ts', import.meta.url))
  const child = fork(main, [], {
    ...storeProcess,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    ...(cwd ? { cwd } : {}),
  })
  let words = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    words += chunk.toString()
  })
  child.send({ type: 'start', options })
  const url = await new Promise<string>((resolve, reject) => {
    child.on('message', (message: FromChild) => {
      if (message.type === 'ready') resolve(message.address)
      if (message.type === 'failed') reject(new Error(message.error))
    })
    child.once('exit', (code, signal) =>
      reject(new Error(`the store ended with ${code ?? signal}: ${words}`)),
    )
  })
  let nextId = 1
  const reply = <Kind extends FromChild['type']>(
    kind: Kind,
    id: number,
  ): Promise<Extract<FromChild, { type: Kind }>> =>
    new Promise((resolve) => {
      const listen = (message: FromChild) => {
        if (message.type !== kind || !('id' in message) || message.id !== id) return
        child.off('message', listen)
        resolve(message as Extract<FromChild, { type: Kind }>)
      }
      child.on('message', listen)
    })
  const kill = async () => {
    child.kill('SIGKILL')
    await ended(child)
  }
  return {
    url,
    data_path: options.data_path,
    process: child,
    async beats(wait_ms) {
      const id = nextId++
      const pong = reply('pong', id).then(() => true)
      child.send({ type: 'ping', id })
      return Promise.race([pong, new Promise<boolean>((resolve) => setTimeout(resolve, wait_ms, false))])
    },
    async ask(question) {
      const id = nextId++
      const answer = reply('answer', id)
      child.send({ type: 'ask', id, question })
      return (await answer).answer
    },
    async reload(changes) {
      const id = nextId++
      const reloaded = reply('reloaded', id)
      child.send({ type: 'reload', id, options: { ...options, ...changes } })
      return (await reloaded).error
    },
    async drain() {
      child.send({ type: 'drain' })
      return ended(child)
    },
    kill,
    async remove() {
      await kill()
      rmSync(options.data_path, { recursive: true, force: true })
    },
  }
}

export type Reply = { status: number; text: string; headers: Headers }

const basic = ({ user, password }: { user: string; password: string }): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

/** One request as `who`; `search` goes into the URL, `body` as it is. */
export async function ask(
  store: Pick<StoreChild, 'url'>,
  who: { user: string; password: string } | null,
  body: string | Uint8Array<ArrayBuffer>,
  search: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Reply> {
  const response = await fetch(`${store.url}/?${new URLSearchParams(search)}`, {
    method: 'POST',
    body,
    headers: { ...(who ? { authorization: basic(who) } : {}), ...headers },
  })
  return { status: response.status, text: await response.text(), headers: response.headers }
}
