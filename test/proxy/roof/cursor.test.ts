import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { openCursor, sealCursor } from '../../../proxy/roof/cursor.ts'

const KEY = randomBytes(32)
const POSITIONS = { a: '1', b: '', c: 'é"\n' }

test('a cursor tells where each server stands', () => {
  expect(openCursor(KEY, 'me', 'tools/list', sealCursor(KEY, 'me', 'tools/list', POSITIONS))).toEqual(
    POSITIONS,
  )
})
test('only for the caller, the method and the installation it was made for', () => {
  const cursor = sealCursor(KEY, 'me', 'tools/list', POSITIONS)
  for (const open of [
    () => openCursor(KEY, 'you', 'tools/list', cursor),
    () => openCursor(KEY, 'me', 'prompts/list', cursor),
    () => openCursor(randomBytes(32), 'me', 'tools/list', cursor),
  ])
    expect(open).toThrow('cursor_invalid')
})
test('every changed character is noticed, and what was never a cursor is refused', () => {
  const cursor = sealCursor(KEY, 'me', 'tools/list', POSITIONS)
  for (let i = 0; i < cursor.length; i++) {
    const changed = `${cursor.slice(0, i)}${cursor[i] === 'A' ? 'B' : 'A'}${cursor.slice(i + 1)}`
    expect(() => openCursor(KEY, 'me', 'tools/list', changed), `at ${i}`).toThrow('cursor_invalid')
  }
  for (const strange of ['', '.', 'a.b', null, undefined, 7, {}, [], 'x'.repeat(100_000)])
    expect(() => openCursor(KEY, 'me', 'tools/list', strange)).toThrow('cursor_invalid')
})
