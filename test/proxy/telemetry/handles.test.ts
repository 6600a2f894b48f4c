import { expect, test } from 'vitest'
import { handlesOf } from '../../../proxy/telemetry/handles.ts'

const of = (text: string): number[] => handlesOf(text, 7, 100)

test.each([
  ['an id with letters and digits', 'TCK-4711'],
  ['a UUID', '0af76519-16cd-43dd-8448-eb211c80319c'],
  ['a path', '/srv/data/reports'],
  ['a URI', 'file:///srv/x'],
  ['a cursor', 'eyJvZmZzZXQiOjEwMH0='],
  ['a long number', '48151623'],
])('%s is a handle, wherever it stands', (_name, word) => {
  const [handle, ...more] = of(JSON.stringify({ a: word }))
  expect(handle).toBeTypeOf('number')
  expect(more).toEqual([])
  // In running text, at the end of a sentence, in JSON within JSON, after an escape.
  for (const text of [
    JSON.stringify(`see ${word}.`),
    JSON.stringify({ text: JSON.stringify({ a: word }) }),
    JSON.stringify({ text: JSON.stringify(`one\n${word}\ttwo`) }),
  ])
    expect(of(text), text).toEqual([handle])
})

test.each([
  'tools/call',
  '2026-11-21T10:15:00Z',
  '2026-11-21',
  '10.0.0.1',
  '1.25.300',
  '1234.5678',
  '12345',
  'balance',
  'short1'.slice(0, 5),
  'Straße',
])('%s is none', (word) => {
  expect(of(JSON.stringify({ a: word }))).toEqual([])
})

test('the same word under another key is another handle', () => {
  expect(handlesOf('"TCK-4711"', 1, 9)).not.toEqual(handlesOf('"TCK-4711"', 2, 9))
})

test('a handle fits a number exactly, and different words differ', () => {
  const words = Array.from({ length: 20_000 }, (_, i) => `ticket-${i}`)
  const handles = words.flatMap((word) => handlesOf(`"${word}"`, 3, 1))
  expect(new Set(handles).size).toBe(words.length)
  expect(handles.every(Number.isSafeInteger)).toBe(true)
})

test('reads a bounded part of a text', () => {
  const text = `"${'word '.repeat(4_000)}" "TCK-4711"`
  expect(of(text)).toEqual([])
  expect(
    handlesOf(JSON.stringify(Array.from({ length: 99 }, (_, i) => `id-${1000 + i}`)), 1, 10),
  ).toHaveLength(10)
})
