import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headingOf } from '../../collector/watch/alerts/thresholds.ts'
import { FIGURES, ruleOf, SHIPPED } from '../../config/alert-rules.ts'
import { type Bench, openBench } from '../collector/watch/alerts/evaluator.ts'
import { grafanaRules } from './alert-files.ts'

const text = readFileSync(new URL('../../dashboards/runbook.md', import.meta.url), 'utf8')
const sections = text.split(/^## /m).slice(1)
const headings = sections.map((section) => section.split('\n', 1)[0]!)

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
}, 60_000)
afterAll(() => bench?.close(), 60_000)

test('every rule has its heading, and every heading its rule', () => {
  const own = FIGURES.map((figure) => {
    const rule = ruleOf('own', { enabled: true, figure, value: 1 })
    if (rule?.kind !== 'threshold') throw new Error('a figure makes a threshold')
    return headingOf(rule)
  })
  const prometheus = readFileSync(
    new URL('../../dashboards/prometheus/alert-rules.yaml', import.meta.url),
    'utf8',
  )
  const rules = [
    ...SHIPPED.map((rule) => rule.name),
    ...own,
    ...grafanaRules.map((rule) => rule.title),
    ...[...prometheus.matchAll(/- alert: (\w+)/g)].map((m) => m[1]!),
  ]
  expect(headings.toSorted()).toEqual([...new Set(rules)].sort())
})

test('every heading says what it means, what to ask first, why it happens and what to do', () => {
  for (const section of sections)
    for (const part of ['**Meaning.**', '**First query.**', '**Usual cause.**', '**Fix.**'])
      expect(section, part).toContain(part)
})

test('the queries run', async () => {
  // Some begin at a metric or a command instead: those have no SQL.
  const queries = sections.flatMap((section) => /```sql\n([\s\S]*?)```/.exec(section)?.[1] ?? [])
  expect(queries.length).toBeGreaterThan(sections.length / 2)
  for (const sql of queries) await expect(bench.reader.rows(sql), sql).resolves.toBeInstanceOf(Array)
}, 60_000)
