import { describe, expect, test } from 'vitest'
import { Names, Resources } from '../../../proxy/roof/names.ts'

describe('names', () => {
  test('are the server, the separator and the name', () => {
    const names = new Names(['git', 'files'], '_', 64)
    expect(names.expose('git', 'log')).toBe('git_log')
    expect(names.resolve('git_log')).toEqual({ server: 'git', name: 'log' })
    expect(names.resolve('git_')).toEqual({ server: 'git', name: '' })
    for (const strange of ['git', 'gitlog', 'nobody_log', '', '_'])
      expect(names.resolve(strange), strange).toBeNull()
  })
  test('lead back whatever keys and names contain, for every separator', () => {
    const keys = ['a', 'a-b', 'a-b-c', 'a--b', 'A']
    const inner = [
      'x',
      'b-x',
      'b_x',
      'b-c-x',
      '-x',
      '_x',
      'b.x',
      '',
      'é😀',
      'x'.repeat(200),
      `${'x'.repeat(199)}y`,
    ]
    for (const separator of ['_', '__', '-', '.']) {
      const names = new Names(keys, separator, 64)
      const exposed = new Map<string, string>()
      for (const server of keys)
        for (const name of inner) {
          const out = names.expose(server, name)
          expect(out.length).toBeLessThanOrEqual(64)
          expect(exposed.get(out), `${out} stands for two`).toBeUndefined()
          exposed.set(out, `${server}\n${name}`)
          expect(names.expose(server, name)).toBe(out)
        }
      for (const [out, of] of exposed) {
        const owned = names.resolve(out)!
        expect(`${owned.server}\n${owned.name}`).toBe(of)
      }
    }
  })
  test('do not depend on the order of listing', () => {
    const one = new Names(['a', 'a-b'], '-', 64)
    const two = new Names(['a-b', 'a'], '-', 64)
    const there = [one.expose('a', 'b-c'), one.expose('a-b', 'c')]
    const back = [two.expose('a-b', 'c'), two.expose('a', 'b-c')].reverse()
    expect(there).toEqual(back)
  })
  test('that look cut and are not known name the lists to read, once in a while', () => {
    const names = new Names(['a', 'a-b', 'c'], '-', 32)
    const cut = new Names(['a', 'a-b', 'c'], '-', 32).expose('a', 'x'.repeat(50))
    expect(names.toLearn(cut, 'tools/list', 0, false)).toEqual(['a'])
    expect(names.toLearn(cut, 'tools/list', 1000, false)).toEqual([])
    expect(names.toLearn(cut, 'prompts/list', 1000, false)).toEqual(['a'])
    expect(names.toLearn(cut, 'tools/list', 20_000, false)).toEqual(['a'])
    names.expose('a', 'x'.repeat(50))
    expect(names.toLearn(cut, 'tools/list', 40_000, false)).toEqual([])
    // Where rules hide names, one that is known takes the way of one that is not.
    expect(names.toLearn(cut, 'tools/list', 40_000, true)).toEqual(['a'])
    expect(names.toLearn(cut, 'tools/list', 41_000, true)).toEqual([])
    expect(names.toLearn('a-plain', 'tools/list', 60_000, true)).toEqual([])
    expect(names.toLearn('a-plain', 'tools/list', 40_000, false)).toEqual([])
    expect(names.toLearn('nobody-0123abcd', 'tools/list', 40_000, false)).toEqual([])
  })
})

describe('resources', () => {
  test('belong to the server that listed them first', () => {
    const resources = new Resources()
    expect(resources.claim('x://1', 'a')).toBe(true)
    expect(resources.claim('x://1', 'b')).toBe(false)
    expect(resources.claim('x://1', 'a')).toBe(true)
    expect(resources.owner('x://1')).toBe('a')
    expect(resources.owner('x://2')).toBeNull()
  })
  test('match templates in linear time', () => {
    const resources = new Resources()
    resources.claimTemplate('x://{a}/of/{b}', 'a')
    resources.claimTemplate('y://{+path}', 'b')
    resources.claimTemplate('z://fixed', 'c')
    const TABLE: [uri: string, owner: string | null][] = [
      ['x://1/of/2', 'a'],
      ['x:///of/', 'a'],
      ['x://1/off/2', null],
      ['y://a/b/c', 'b'],
      ['z://fixed', 'c'],
      ['z://fixed/more', null],
      ['', null],
    ]
    for (const [uri, owner] of TABLE) expect(resources.owner(uri), uri).toBe(owner)
    resources.claimTemplate(`w://${'{a}-'.repeat(2000)}end`, 'd')
    expect(resources.owner(`w://${'-'.repeat(8000)}`)).toBeNull()
  })
})
