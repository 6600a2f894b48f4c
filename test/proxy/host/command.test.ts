import { describe, expect, test } from 'vitest'
import { childEnv, childSpec, splitCommand } from '../../../proxy/host/command.ts'

describe('splitCommand', () => {
  test.each([
    ['words', 'npx -y server ./docs', ['npx', '-y', 'server', './docs']],
    ['runs of space', '  a \t b\n', ['a', 'b']],
    ['double quotes', 'a "b c" d', ['a', 'b c', 'd']],
    ['single quotes keep everything', `a 'b\\ "c"'`, ['a', 'b\\ "c"']],
    ['quotes inside a word', `--x="1 2"'3'`, ['--x=1 23']],
    ['an empty argument', `a "" b`, ['a', '', 'b']],
    ['escapes in double quotes', 'a "b\\"c\\\\d\\n"', ['a', 'b"c\\d\\n']],
    ['escaped space', 'a b\\ c', ['a', 'b c']],
    [
      'nothing is expanded',
      'a $HOME ~ * ; | >x `y` $(z)',
      ['a', '$HOME', '~', '*', ';', '|', '>x', '`y`', '$(z)'],
    ],
    ['a lone backslash at the end', 'a b\\', ['a', 'b\\']],
  ])('%s', (_name, line, words) => {
    expect(splitCommand(line)).toEqual(words)
  })

  test.each([
    ['an open double quote', 'a "b', 'open double quote'],
    ['an open single quote', "a 'b", 'open single quote'],
    ['nothing', '  ', 'empty'],
    ['an empty first word', '"" a', 'empty'],
  ])('refuses %s', (_name, line, why) => {
    expect(() => splitCommand(line)).toThrow(why)
  })
})

describe('childEnv', () => {
  test('inherits the allow-list only, and the configured values win', () => {
    const own = {
      PATH: '/bin',
      HOME: '/h',
      LC_ALL: 'C',
      XDG_CONFIG_HOME: '/x',
      AWS_SECRET_ACCESS_KEY: 's',
      PATHX: 'p',
      TZ: undefined,
    }
    expect(childEnv({ HOME: '/other', TOKEN: 't' }, own)).toEqual({
      PATH: '/bin',
      HOME: '/other',
      LC_ALL: 'C',
      XDG_CONFIG_HOME: '/x',
      TOKEN: 't',
    })
  })

  test('exported shell functions stay out', () => {
    expect(childEnv({}, { LC_X: '() { :; }; evil' })).toEqual({})
  })
})

test('arguments follow the words of the command', () => {
  expect(childSpec({ command: 'a b', args: ['c d'], env: {}, cwd: '/w' }, {})).toEqual({
    file: 'a',
    args: ['b', 'c d'],
    env: {},
    cwd: '/w',
  })
  expect(childSpec({ command: ['a b', 'c'], args: [], env: {} }, {}).file).toBe('a b')
  expect(() => childSpec({ command: [''], args: [], env: {} }, {})).toThrow('empty')
})
