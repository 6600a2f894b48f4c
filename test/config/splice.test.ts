import { describe, expect, test } from 'vitest'
import { parseDocument } from 'yaml'
import { type Edit, EditRefused, splice as spliceRead } from '../../config/splice.ts'
import { readYaml } from '../../config/yaml-text.ts'

const splice = (text: string, edits: readonly Edit[], resolved?: unknown): string =>
  spliceRead(readYaml(text), edits, resolved).text

const FILE = `# top
listen: 127.0.0.1:7332   # here

servers:
  files:      { command: npx -y files . }   # odd spacing stays

callers:
  # the bank
  rm-agent:  { team: research, keys: [ { sha256: aa } ] }  # relationship managers
  other:
    team: \${TEAM}   # from outside
    keys:
      # first
      - { sha256: bb }   # laptop
      - sha256: cc
        expires: 2027-01-31

# trailing
log: { level: debug }
# the end
`
const values = (text: string): Record<string, unknown> =>
  parseDocument(text).toJS() as Record<string, unknown>
const comments = (text: string): string[] => [...text.matchAll(/#.*$/gm)].map(([one]) => one.trim()).sort()
const untouched = (text: string, edited: string, ...lines: string[]): void => {
  for (const line of lines) {
    expect(text).toContain(line)
    expect(edited).toContain(line)
  }
}

describe('an edit', () => {
  test('changes what was asked and nothing else, with every comment', () => {
    const edited = splice(FILE, [
      { op: 'append', path: ['callers', 'other', 'keys'], value: { sha256: 'dd', id: 'x' } },
    ])
    expect(values(edited)).toEqual({
      ...values(FILE),
      callers: {
        'rm-agent': { team: 'research', keys: [{ sha256: 'aa' }] },
        other: {
          team: '${TEAM}',
          keys: [{ sha256: 'bb' }, { sha256: 'cc', expires: '2027-01-31' }, { sha256: 'dd', id: 'x' }],
        },
      },
    })
    expect(comments(edited)).toEqual(comments(FILE))
    untouched(
      FILE,
      edited,
      '  files:      { command: npx -y files . }   # odd',
      '  rm-agent:  { team',
      '# trailing\nlog: {',
    )
  })

  test.each<[string, Edit]>([
    ['a new caller', { op: 'set', path: ['callers', 'new'], value: { team: 'a: #b', keys: [] } }],
    ['a new section', { op: 'set', path: ['limits'], value: [{ per: ['caller'], rate: '10/s' }] }],
    [
      'an entry of a new list',
      { op: 'append', path: ['rules'], value: { deny: 'office: "hours"', when: 'a > 1 && b' } },
    ],
    ['a value within', { op: 'set', path: ['callers', 'other', 'keys', 1, 'expires'], value: '2028-01-01' }],
  ])('%s: the rest reads as before and the comments stay', (_what, edit) => {
    const edited = splice(FILE, [edit])
    expect(comments(edited).filter((one) => FILE.includes(one))).toEqual(comments(FILE))
    const [before, after] = [values(FILE), values(edited)]
    const [top] = edit.path as [string]
    expect({ ...after, [top]: null }).toEqual({ ...before, [top]: null })
    expect(after[top]).not.toEqual(before[top])
    untouched(FILE, edited, '  files:      { command: npx -y files . }   # odd spacing stays')
  })

  test('a removed entry takes nothing but itself', () => {
    const edited = splice(FILE, [{ op: 'remove', path: ['callers', 'other', 'keys', 0] }])
    expect(values(edited).callers).toEqual({
      'rm-agent': { team: 'research', keys: [{ sha256: 'aa' }] },
      other: { team: '${TEAM}', keys: [{ sha256: 'cc', expires: '2027-01-31' }] },
    })
    untouched(FILE, edited, '# the bank', '# trailing', '# the end', '# from outside')
  })

  test('JSON stays JSON, with its indentation', () => {
    const text = JSON.stringify({ listen: 'x', callers: { a: { keys: [] } } }, null, 4)
    const edited = splice(text, [{ op: 'append', path: ['callers', 'a', 'keys'], value: { sha256: 'q' } }])
    expect(JSON.parse(edited)).toEqual({ listen: 'x', callers: { a: { keys: [{ sha256: 'q' }] } } })
    expect(edited).toContain('\n    "listen"')
  })

  test.each(['', '# only a comment\n', 'callers:\n', '---\ncallers: {}\n', 'a: 1'])(
    '%j is a file to begin with',
    (text) => {
      const edited = splice(text, [{ op: 'append', path: ['callers', 'a', 'keys'], value: { sha256: 'q' } }])
      expect(values(edited)).toEqual({ ...(values(text) ?? {}), callers: { a: { keys: [{ sha256: 'q' }] } } })
      expect(comments(edited)).toEqual(comments(text))
    },
  )

  test('four spaces, tabs in values, CRLF and no line end at the end are no obstacle', () => {
    for (const text of [
      'callers:\n    a:\n        team: x\n        keys:\n            - { sha256: b }\nlog: { level: info }',
      'callers:\r\n  a:\r\n    keys: [ { sha256: b } ]\r\nlog: { level: info }\r\n',
      'callers: { a: { team: "x\\ty", keys: [ { sha256: b } ] } }\nlog: { level: info }\n',
    ]) {
      const edited = splice(text, [{ op: 'append', path: ['callers', 'a', 'keys'], value: { sha256: 'q' } }])
      const { callers } = values(edited) as { callers: { a: { keys: object[] } } }
      expect(callers.a.keys).toEqual([{ sha256: 'b' }, { sha256: 'q' }])
      expect(values(edited).log).toEqual({ level: 'info' })
    }
  })
})

describe('an edit is refused', () => {
  const refused = (text: string, edit: Edit, resolved?: unknown): EditRefused => {
    try {
      splice(text, [edit], resolved)
    } catch (error) {
      expect(error).toBeInstanceOf(EditRefused)
      return error as EditRefused
    }
    throw new Error('it was made')
  }

  test('where a value comes from the environment or another file, unless it stays what it is', () => {
    expect(refused(FILE, { op: 'set', path: ['callers', 'other', 'team'], value: 'b' }).message).toContain(
      'environment',
    )
    expect(refused('env: file:./env\n', { op: 'set', path: ['env'], value: 'b' }).message).toContain(
      'another file',
    )
    const same = splice(FILE, [{ op: 'set', path: ['callers', 'other', 'team'], value: 'a' }], {
      callers: { other: { team: 'a' } },
    })
    expect(same).toBe(FILE)
  })

  test.each(['${HOME}', 'x${A:-b}', 'file:/etc/passwd'])(
    'for %s as a new value, however deep it lies',
    (value) => {
      for (const edit of [
        { op: 'set', path: ['env'], value },
        { op: 'append', path: ['rules'], value: { allow: 'x', when: [{ deep: value }] } },
        { op: 'set', path: ['callers', 'rm-agent', 'team'], value },
      ] as Edit[])
        expect(refused(FILE, edit).kind).toBe('value')
    },
  )

  test('where an alias stands, and where an anchor would go that others need', () => {
    const text = 'base: &b { team: q }\ncallers:\n  n: *b\n'
    expect(refused(text, { op: 'append', path: ['callers', 'n', 'keys'], value: {} }).message).toContain('*b')
    expect(refused(text, { op: 'remove', path: ['base'] }).message).toContain('alias')
  })

  test('where there is nothing to remove', () => {
    expect(refused(FILE, { op: 'remove', path: ['callers', 'nobody'] }).kind).toBe('missing')
    expect(refused(FILE, { op: 'remove', path: ['callers', 'other', 'keys', 7] }).kind).toBe('missing')
  })

  test('where the file has something else than a list', () => {
    expect(
      refused('callers: { a: { keys: x } }', { op: 'append', path: ['callers', 'a', 'keys'], value: {} })
        .kind,
    ).toBe('conflict')
  })
})
