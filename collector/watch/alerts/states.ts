/**
 * The state machine of one alert: inactive → pending → firing → resolved, and nodata beside firing. Pure: what was seen and the
 * time are arguments. Knows nothing of rules, stores and receivers.
 * Invariant: a step is an edge or leaves the state as it is; only `firing` and `nodata` end in `resolved`, whatever never
 * fired goes back to `inactive` without a word. One step never takes two edges.
 */

export type AlertState = 'inactive' | 'pending' | 'firing' | 'resolved' | 'nodata'

/** What an evaluation saw of a series; `missing`: nothing, it was not among the answers. */
export type Seen = 'bad' | 'good' | 'nodata' | 'missing'

export type Timing = {
  /** How long it must hold before it fires. */
  readonly for_ms: number
  /** How long it goes on firing after it last held. */
  readonly keep_firing_for_ms: number
  /** Evaluations without the series after which the alert is over. */
  readonly missing_evaluations: number
  /** What no data means: nothing, a state of its own, or the same as bad. */
  readonly no_data: 'ok' | 'nodata' | 'alerting'
}

/** An alert that is not inactive. Times in milliseconds since 1970. */
export type Standing = {
  readonly state: 'pending' | 'firing' | 'nodata'
  /** When it came into this state. */
  readonly since_ms: number
  /** When it began to hold (pending), or to fire. */
  readonly starts_ms: number
  /** Since when it no longer holds though it still fires; 0 while it holds. */
  readonly clear_ms: number
  /** Evaluations in a row that did not see the series. */
  readonly missed: number
}

export type Step = {
  readonly from: AlertState
  readonly to: AlertState
  /** What stands from now on; null when the alert is inactive or resolved. */
  readonly standing: Standing | null
}

const enter = (state: Standing['state'], now_ms: number, starts_ms = now_ms): Standing => ({
  state,
  since_ms: now_ms,
  starts_ms,
  clear_ms: 0,
  missed: 0,
})
const stay = (before: Standing, more: Partial<Standing>): Step => ({
  from: before.state,
  to: before.state,
  standing: { ...before, ...more },
})
const end = (before: Standing): Step => ({
  from: before.state,
  to: before.state === 'pending' ? 'inactive' : 'resolved',
  standing: null,
})
const move = (before: Standing, after: Standing): Step => ({
  from: before.state,
  to: after.state,
  standing: after,
})

/** The next state. `before` is null for an inactive alert. */
export function step(before: Standing | null, saw: Seen, timing: Timing, now_ms: number): Step {
  const seen =
    saw !== 'nodata' || timing.no_data === 'nodata' ? saw : timing.no_data === 'ok' ? 'good' : 'bad'
  if (!before) {
    if (seen === 'good' || seen === 'missing') return { from: 'inactive', to: 'inactive', standing: null }
    const state = timing.for_ms > 0 ? 'pending' : seen === 'bad' ? 'firing' : 'nodata'
    return { from: 'inactive', to: state, standing: enter(state, now_ms) }
  }
  if (seen === 'missing') {
    const missed = before.missed + 1
    return missed >= timing.missing_evaluations ? end(before) : stay(before, { missed })
  }
  switch (before.state) {
    case 'pending': {
      if (seen === 'good') return end(before)
      if (now_ms - before.since_ms < timing.for_ms) return stay(before, { missed: 0 })
      return move(before, enter(seen === 'bad' ? 'firing' : 'nodata', now_ms))
    }
    case 'firing': {
      if (seen === 'bad') return stay(before, { missed: 0, clear_ms: 0 })
      // The alert is not over because nobody can see it any more: its start stays.
      if (seen === 'nodata') return move(before, enter('nodata', now_ms, before.starts_ms))
      const clear_ms = before.clear_ms || now_ms
      return now_ms - clear_ms >= timing.keep_firing_for_ms
        ? end(before)
        : stay(before, { missed: 0, clear_ms })
    }
    case 'nodata': {
      if (seen === 'good') return end(before)
      return seen === 'bad'
        ? move(before, enter('firing', now_ms, before.starts_ms))
        : stay(before, { missed: 0 })
    }
  }
}
