/** A redis-server of its own on loopback, to be frozen, killed and started again. Keeps nothing. */
import { firstMatch, type Started, start } from './children.ts'

export type Redis = {
  port: number
  start(): Promise<void>
  kill(): void
  freeze(): void
  thaw(): void
  pid(): number
  stop(): Promise<void>
}

export async function startRedis(): Promise<Redis> {
  const port = 20_000 + Math.floor(Math.random() * 8_000)
  let now: Started
  const redis: Redis = {
    port,
    async start() {
      now = start('redis-server', [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--appendonly',
        'no',
      ])
      await firstMatch(now, /Ready to accept/, 20_000)
    },
    kill: () => void now.child.kill('SIGKILL'),
    freeze: () => void now.child.kill('SIGSTOP'),
    thaw: () => void now.child.kill('SIGCONT'),
    pid: () => now.pid,
    stop: () => now.stop(),
  }
  await redis.start()
  return redis
}
