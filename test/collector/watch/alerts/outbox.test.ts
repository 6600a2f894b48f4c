/** Messages on their way to a receiver that is behind. */
import { expect, test } from 'vitest'
import type { Store } from '../../../../collector/sink/store.ts'
import type { Message } from '../../../../collector/watch/alerts/groups.ts'
import { openOutbox } from '../../../../collector/watch/alerts/outbox.ts'
import type { Target } from '../../../../collector/watch/alerts/receivers/receivers.ts'
import type { HttpRequest, Outcome } from '../../../../collector/watch/alerts/receivers/request.ts'

const message = (i: number): Message => ({
  key: `k${i}`,
  receiver: 'hook',
  group_key: 'g',
  group_labels: {},
  reason: 'news',
  alerts: [],
  firing: [],
  resolved: [],
})

test('a message on its way when too many wait is not given up, and none leaves unsent and unsaid', async () => {
  const rows: unknown[][] = []
  const store = {
    database: 'weir',
    insert: async (_table: string, _columns: string[], bytes: Buffer) => {
      for (const line of bytes.toString().trim().split('\n')) rows.push(JSON.parse(line) as unknown[])
    },
    rows: async () => [],
  } as unknown as Store
  const sent: string[] = []
  let answer: ((outcome: Outcome) => void) | null = null
  const outbox = openOutbox({
    store,
    log: () => {},
    sender: () => '1:a',
    onAttempt: () => {},
    send: (request) => {
      sent.push(request.body)
      // The first one hangs until the test says otherwise.
      if (sent.length > 1)
        return Promise.resolve({ result: 'sent', http_status: 200, error: '', retry_after_ms: 0 })
      return new Promise((resolve) => {
        answer = resolve
      })
    },
  })
  const target = {
    name: 'hook',
    requests: (m: Message) => [{ body: m.key } as HttpRequest],
  } as unknown as Target
  for (let i = 0; i < 1000; i++) await outbox.queue([message(i)], 0)
  const running = outbox.run([target], 0, () => 0)
  while (!answer) await new Promise((resolve) => setImmediate(resolve))
  await outbox.queue([message(1000)], 0)
  ;(answer as (outcome: Outcome) => void)({ result: 'sent', http_status: 200, error: '', retry_after_ms: 0 })
  await running
  const ended = rows.filter((row) => row[7] === 'sent' || row[7] === 'failed')
  expect(new Set(ended.map((row) => row[1])).size).toBe(1001)
  expect(ended.filter((row) => row[7] === 'failed').map((row) => row[1])).toEqual(['k1'])
  expect(sent.length).toBe(1000)
  expect(outbox.waiting('hook')).toBe(0)
})
