/** A real redis-server of a test: on a port of its own, in memory only, to be frozen, killed and started again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { stablePort } from './ports.ts'
import { waitFor } from './wait.ts'

export type RedisServer = {
  readonly url: string
  readonly password: string
  /** Everything in it. */
  dump(): Promise<string>
  freeze(): void
  thaw(): void
  kill(): Promise<void>
  /** After `kill`: again on the same port, empty. */
  start(): Promise<void>
}

export async function startRedis(): Promise<RedisServer> {
  const port = stablePort()
  const password = `pass-of-redis-${port}`
  const url = `redis://:${password}@127.0.0.1:${port}/0`
  let child: ChildProcess | null = null
  const ask = async <T>(act: (redis: Redis) => Promise<T>): Promise<T> => {
    const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null })
    redis.on('error', () => {})
    try {
      await redis.connect()
      return await act(redis)
    } finally {
      redis.disconnect()
    }
  }
  const start = async (): Promise<void> => {
    child = spawn(
      'redis-server',
      [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--requirepass',
        password,
        '--save',
        '',
        '--appendonly',
        'no',
        '--loglevel',
        'warning',
      ],
      { stdio: ['ignore', 'ignore', 'inherit'], cwd: '/tmp' },
    )
    await waitFor('redis answers', () => ask((redis) => redis.ping()), 20_000)
  }
  await start()
  return {
    url,
    password,
    dump: () =>
      ask(async (redis) => {
        const keys = await redis.keys('*')
        const values = await Promise.all(
          keys.map(async (key) =>
            (await redis.type(key)) === 'hash'
              ? JSON.stringify(await redis.hgetall(key))
              : await redis.get(key),
          ),
        )
        return keys.map((key, i) => `${key}=${values[i]}`).join('\n')
      }),
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
    start,
  }
}
