/** Generated pages equal their sources; the prose names only what exists. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sampleConfig } from '../cli/init.ts'
import { parseConfig } from '../config/load.ts'
import { pages } from '../docs/build.ts'

const root = join(import.meta.dirname, '..')
const prose = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...globSync('docs/decisions/*.md', { cwd: root }),
  'bench/README.md',
  'docs/rules.md',
  'docs/access.md',
  'docs/admin.md',
  'docs/validation.md',
].filter((f) => existsSync(join(root, f)))

describe('the documentation', () => {
  it.each(Object.keys(pages()))('docs/%s is what docs/build.ts makes', (file) => {
    expect(readFileSync(join(root, 'docs', file), 'utf8'), 'run `npm run docs`').toBe(pages()[file])
  })

  it.each(prose)('%s names only files that exist', (file) => {
    const text = readFileSync(join(root, file), 'utf8')
    const named = [
      ...text.matchAll(/`((?:[a-z0-9.-]+\/)+[A-Za-z0-9._-]*)`|\]\((?!https?:|#)([^)#\s]+)/g),
    ].map((m) => m[1] ?? m[2]!)
    const known = named.filter((path) =>
      /^(event|config|supervisor|proxy|store|collector|cli|docs|demo|bench|test|dashboards)\//.test(path),
    )
    // Results are written by a run, on the machine that made it.
    const made = known.filter((path) => !path.startsWith('bench/results/'))
    expect(made.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it('every npm script named in the prose exists', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const named = prose.flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/npm run (?:-s )?([a-z:]+)/g)].map((m) => m[1]!),
    )
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })

  it('every config example of the prose is a valid config', () => {
    const examples = prose.flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)].map((m) => ({
        file,
        text: m[1]!,
      })),
    )
    expect(examples.length).toBeGreaterThan(0)
    for (const { file, text } of [...examples, { file: 'sample', text: sampleConfig() }])
      expect(() => parseConfig(text, file, { GITHUB_TOKEN: 't', WEIR_CONSOLE_SECRET: 't' })).not.toThrow()
  })
})
