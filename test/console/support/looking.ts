/** A page that somebody looks at: whatever goes wrong in it is kept, and nothing may. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { waitFor } from '../../support/wait.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export type Looking = {
  readonly page: Page
  /** Console errors and warnings, uncaught errors, policy violations, requests that failed or were refused. */
  readonly wrong: string[]
  /** Resolves when an expression holds in the page. From outside: the policy keeps the page from evaluating text. */
  until(condition: string, deadline_ms?: number): Promise<void>
  /** Resolves when every panel has its answer. */
  settled(deadline_ms?: number): Promise<void>
  /** What axe finds, one line each. */
  axe(): Promise<string[]>
  close(): Promise<void>
}

type AxeResult = {
  violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[]
}

export async function look(browser: Browser, options: BrowserContextOptions = {}): Promise<Looking> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  const wrong: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) wrong.push(`console: ${message.text()}`)
  })
  page.on('pageerror', (error) => wrong.push(`uncaught: ${error.message}`))
  page.on('requestfailed', (request) => {
    // Leaving a view ends its questions.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') wrong.push(`failed: ${request.url()}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) wrong.push(`${response.status()}: ${response.url()}`)
  })
  await page.addInitScript(
    "document.addEventListener('securitypolicyviolation', (e) => console['error']('policy: ' + e.violatedDirective + ' ' + e.blockedURI))",
  )
  const until = async (condition: string, deadline_ms?: number): Promise<void> => {
    await waitFor(condition, () => page.evaluate<boolean>(condition), deadline_ms)
  }
  return {
    page,
    wrong,
    until,
    async settled(deadline_ms) {
      await page.waitForSelector('main .panel, main.login, main form')
      await until("document.querySelectorAll('[aria-busy=true]').length === 0", deadline_ms)
    },
    async axe() {
      await page.evaluate(AXE)
      const result = await page.evaluate<AxeResult>(
        "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })",
      )
      return result.violations.flatMap((v) =>
        v.nodes.map(
          (node) =>
            `${v.id} (${v.impact}): ${node.html.slice(0, 160)} ${node.failureSummary.replaceAll('\n', ' ')}`,
        ),
      )
    },
    close: () => context.close(),
  }
}
