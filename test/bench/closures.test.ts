/**
 * V8 allocates a function literal that is assigned to a property (`x.y = () => …`) in its old space. Done once a call, each
 * keeps its call alive until the next full collection: 6.4 KB a call promoted instead of 0.2, and a seventh of the CPU
 * (bench/README.md). A function that is named first, or passed as an argument, is not.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../../bench/support/machine.ts'

/** Rooms a call passes through. Streams and hops are long or rare: theirs may be assigned. */
const ROOMS = [
  'proxy/downstream/http.ts',
  'proxy/upstream',
  'proxy/stages',
  'proxy/serve.ts',
  'proxy/server-endpoint.ts',
  'proxy/record.ts',
]
const ASSIGNED =
  /^\s*[\w.#!]+\.[#\w]+ (?:\?\?)?= (?:async )?(?:function\b|\([^()]*\)(?:: [\w<>| ]+)? =>|\w+ =>)/

const filesOf = (room: string): string[] =>
  room.endsWith('.ts') ? [room] : readdirSync(join(ROOT, room)).map((file) => join(room, file))

test('no function literal is assigned to a property on the way of a call', () => {
  const found = ROOMS.flatMap(filesOf).flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, i) => (ASSIGNED.test(line) ? [`${file}:${i + 1} ${line.trim()}`] : [])),
  )
  expect(found).toEqual([])
})

test('the pattern sees what it is for', () => {
  expect(ASSIGNED.test('    call.onClientGone = () => this.#clientGone()')).toBe(true)
  expect(ASSIGNED.test('    this.#next = async (bytes) => {')).toBe(true)
  expect(ASSIGNED.test('    call.onClientGone = onClientGone')).toBe(false)
  expect(ASSIGNED.test('    const onClientGone = (): void => this.#clientGone()')).toBe(false)
})
