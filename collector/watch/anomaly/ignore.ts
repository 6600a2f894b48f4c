/** Rules of the config that say what is never reported. Pure. */
import type { AnomalyKind, AnomalyOptions } from '../../../config/anomalies.ts'

export type Subject = { server: string; tool: string; caller: string; team: string }

/** What a series is about. */
export function subjectOf(scope: string, series: string): Subject {
  const subject = { server: '', tool: '', caller: '', team: '' }
  if (scope === 'tool') {
    const slash = series.indexOf('/')
    return { ...subject, server: series.slice(0, slash), tool: series.slice(slash + 1) }
  }
  return scope === 'server' || scope === 'caller' || scope === 'team'
    ? { ...subject, [scope]: series }
    : subject
}

const patterns = new Map<string, RegExp>()

/** `*` stands for any text. */
function fits(glob: string, text: string): boolean {
  let pattern = patterns.get(glob)
  if (!pattern) {
    pattern = new RegExp(`^${glob.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 's')
    patterns.set(glob, pattern)
  }
  return pattern.test(text)
}

/** Whether a rule names this finding: each word of the rule has to fit, and a word needs something to fit on. */
export function isIgnored(
  { ignore }: Pick<AnomalyOptions, 'ignore'>,
  finding: { kind: AnomalyKind; scope: string; series: string } & Partial<Subject>,
): boolean {
  if (ignore.length === 0) return false
  const subject = { ...subjectOf(finding.scope, finding.series), ...finding }
  return ignore.some(
    (rule) =>
      (rule.kind === undefined || rule.kind === finding.kind) &&
      (['server', 'tool', 'caller', 'team'] as const).every(
        (word) => rule[word] === undefined || (subject[word] !== '' && fits(rule[word], subject[word])),
      ),
  )
}
