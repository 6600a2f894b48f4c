/**
 * `/healthz`: the process serves. `/readyz`: what it needs is there, part by part. Answers within two seconds whatever the
 * store does; many askers share one question.
 */
import type { Store } from '../sink/store.ts'

export type Part = { ok: boolean; detail: string }
export type Readiness = { ready: boolean; parts: Record<'store' | 'schema' | 'disk', Part> }

/** Where the schema stands: set by whoever migrates. */
export type SchemaState = { ok: boolean; detail: string }

const ASK_MS = 1_500
const REUSE_MS = 500
/** Below this share of free disk the store is about to stop taking rows. */
const FREE_MIN = 0.02

export function openReadiness(
  store: Store,
  schema: () => SchemaState,
  embedded: boolean,
): () => Promise<Readiness> {
  let asked_ms = 0
  let question: Promise<Readiness> | null = null
  const ask = async (): Promise<Readiness> => {
    const answers = await store.answers(ASK_MS)
    const disk =
      answers && embedded
        ? await diskOf(store)
        : { ok: true, detail: answers ? 'the server sees to it' : 'unknown' }
    const state = schema()
    const parts = {
      store: { ok: answers, detail: answers ? 'answers' : 'no answer' },
      schema: { ...state },
      disk,
    }
    return { ready: answers && state.ok && disk.ok, parts }
  }
  return () => {
    if (!question || Date.now() - asked_ms > REUSE_MS) {
      asked_ms = Date.now()
      question = ask()
    }
    return question
  }
}

async function diskOf(store: Store): Promise<Part> {
  const unknown = { ok: true, detail: 'unknown' }
  const query = store
    .rows<{ share: number }>('SELECT min(free_space / greatest(total_space, 1)) AS share FROM system.disks')
    .then(([row]) =>
      row ? { ok: row.share > FREE_MIN, detail: `${Math.round(row.share * 100)} % free` } : unknown,
    )
    .catch(() => unknown)
  const late = new Promise<Part>((resolve) => setTimeout(resolve, 400, unknown).unref())
  return Promise.race([query, late])
}
