import { describe, expect, test } from 'vitest'
import { makeHostCheck, makeOriginCheck } from '../../../proxy/stages/admit.ts'

describe('Host', () => {
  const TABLE: [listen: string, allowed: string[], host: string | undefined, is: boolean][] = [
    ['127.0.0.1:7332', [], 'localhost:7332', true],
    ['127.0.0.1:7332', [], '127.0.0.1', true],
    ['127.0.0.1:7332', [], '[::1]:7332', true],
    ['127.0.0.1:7332', [], 'LOCALHOST', true],
    ['127.0.0.1:7332', [], '127.evil.example', false],
    ['127.0.0.1:7332', [], 'localhost.evil.example', false],
    ['127.0.0.1:7332', [], 'evil.example', false],
    ['127.0.0.1:7332', [], '', false],
    ['127.0.0.1:7332', [], undefined, false],
    ['127.0.0.1:7332', ['Weir.Example'], 'weir.example:443', true],
    ['0.0.0.0:7332', [], 'anything.example', true],
    ['0.0.0.0:7332', ['weir.example'], 'anything.example', false],
    ['0.0.0.0:7332', ['weir.example:8443'], 'weir.example:8443', true],
    ['10.0.0.5:7332', ['weir.example'], '10.0.0.5:7332', true],
  ]
  for (const [listen, allowed, host, is] of TABLE)
    test(`${host} at ${listen}, allowed ${allowed}`, () =>
      expect(makeHostCheck(listen, allowed)(host)).toBe(is))
})

describe('Origin', () => {
  const TABLE: [listen: string, allowed: string[], origin: string | undefined, is: boolean][] = [
    ['127.0.0.1:7332', [], undefined, true],
    ['127.0.0.1:7332', [], 'http://localhost:6274', true],
    ['127.0.0.1:7332', [], 'http://[::1]:1', true],
    ['127.0.0.1:7332', [], 'http://127.evil.example', false],
    ['127.0.0.1:7332', [], 'https://evil.example', false],
    ['127.0.0.1:7332', [], 'null', false],
    ['127.0.0.1:7332', [], '', false],
    ['127.0.0.1:7332', ['https://app.example/'], 'https://APP.example', true],
    ['127.0.0.1:7332', ['https://app.example'], 'http://app.example', false],
    ['0.0.0.0:7332', [], 'http://localhost', false],
    ['0.0.0.0:7332', ['https://app.example'], 'https://app.example', true],
  ]
  for (const [listen, allowed, origin, is] of TABLE)
    test(`${origin} at ${listen}, allowed ${allowed}`, () =>
      expect(makeOriginCheck(listen, allowed)(origin)).toBe(is))
})
