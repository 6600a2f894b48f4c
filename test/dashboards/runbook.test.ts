import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headingOf } from '../../collector/watch/alerts/thresholds.ts'
import { FIGURES, ruleOf, SHIPPED } from '../../config/alert-rules.ts'
import { type Bench, openBench } from '../collector/watch/alerts/evaluator.ts'

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
  expect(headings.toSorted()).toEqual([...SHIPPED.map((rule) => rule.name), ...own].sort())
})

test('every heading says what it means, what to ask first, why it happens and what to do', () => {
  for (const section of sections)
    for (const part of ['**Meaning.**', '**First query.**', '**Usual cause.**', '**Fix.**'])
      expect(section, part).toContain(part)
})

test('the queries run', async () => {
  const queries = sections.map((section) => /```sql\n([\s\S]*?)```/.exec(section)![1]!)
  for (const sql of queries) {
    // Budgets are another area's: until its view is there, there is nothing to ask.
    if (
      sql.includes('v_budgets') &&
      (await bench.reader.rows("SELECT 1 FROM system.tables WHERE database = 'weir' AND name = 'v_budgets'"))
        .length === 0
    )
      continue
    await expect(bench.reader.rows(sql), sql).resolves.toBeInstanceOf(Array)
  }
}, 60_000)
