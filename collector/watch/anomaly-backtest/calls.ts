/**
 * Synthetic calls for the detectors that look at single calls: callers with office hours, services that never sleep, a job that
 * polls, usual failures and small repeats; and faults of known kind among them. Pure but for the random numbers.
 */
import { type Fault, findsOf } from './faults.ts'
import type { Random } from './random.ts'

/** The columns of `calls` that matter here; all others keep their defaults. Time in seconds, with fraction. */
export type Call = {
  ts: number
  caller: string
  team: string
  server: string
  tool: string
  method: string
  outcome: 'ok' | 'tool_error'
  run: string
  arguments: string
  list_items: number
}

export type Caller = {
  name: string
  team: string
  tools: readonly { server: string; tool: string }[]
  /** First and last hour of its day (UTC); 0 to 24 = always. */
  hours: readonly [number, number]
  weekends: boolean
  calls_per_hour: number
}

const DAY_S = 86_400
const SERVERS = 6
const TOOLS = 12
const LIST_SIZES = [12, 12, 24, 40, 8, 60]
const POLLER = 'poller'

export function makeCallers(random: Random, count: number): Caller[] {
  const callers = Array.from({ length: count }, (_, i): Caller => {
    const isService = i % 4 === 3
    const start = 6 + random.int(4)
    return {
      name: `${isService ? 'service' : 'agent'}-${i}`,
      team: `team-${i % 5}`,
      tools: Array.from({ length: 2 + random.int(4) }, () => {
        const server = random.int(SERVERS)
        return { server: `s${server}`, tool: `t${random.int(TOOLS - 1)}` }
      }),
      hours: isService ? [0, 24] : [start, start + 8 + random.int(3)],
      weekends: isService,
      calls_per_hour: random.between(8, 40),
    }
  })
  // Asks for the state of its jobs all day long, with the same words each time: usual for it.
  callers.push({
    name: POLLER,
    team: 'team-0',
    tools: [{ server: 's0', tool: 'get_status' }],
    hours: [0, 24],
    weekends: true,
    calls_per_hour: 60,
  })
  return callers
}

const isWeekend = (day: number): boolean => (Math.floor(day / DAY_S) + 3) % 7 >= 5

const call = (caller: Caller, ts: number, more: Partial<Call>): Call => ({
  ts,
  caller: caller.name,
  team: caller.team,
  server: '',
  tool: '',
  method: 'tools/call',
  outcome: 'ok',
  run: '',
  arguments: '',
  list_items: 0,
  ...more,
})

/** A day of a caller as it usually is; `day` in seconds. */
export function usualDay(random: Random, caller: Caller, day: number): Call[] {
  if (isWeekend(day) && !caller.weekends) return []
  const [first, last] = caller.hours
  const calls: Call[] = []
  const isPoller = caller.name === POLLER
  let run = 0
  for (let hour = first; hour < last; hour++) {
    const from = day + hour * 3600
    const name = `${caller.name}-${day}-${isPoller ? 0 : run++}`
    const list = caller.tools[random.int(caller.tools.length)]!
    const size = LIST_SIZES[Number(list.server.slice(1))] ?? 10
    calls.push(
      call(caller, from + random.between(0, 600), {
        server: list.server,
        method: 'tools/list',
        run: name,
        list_items: size,
      }),
    )
    const count = random.poisson(caller.calls_per_hour)
    for (let i = 0; i < count; i++) {
      const { server, tool } =
        isPoller || i > 0 || hour > first ? random.pick(caller.tools) : caller.tools[0]!
      const repeats = random.next() < 0.05 ? 1 + random.int(4) : 1
      const words = isPoller ? 'jobs' : `${random.int(1_000_000)}`
      const at = from + random.between(0, 3500)
      for (let k = 0; k < repeats; k++)
        calls.push(
          call(caller, at + k * 3, {
            server,
            tool,
            run: name,
            arguments: words,
            outcome: random.next() < 0.03 ? 'tool_error' : 'ok',
          }),
        )
    }
  }
  return calls
}

export type Injected = {
  faults: Fault[]
  calls: Call[]
  sizes: { server: string; from: number; to: number; factor: number }[]
}

/** `each` faults of every kind between `from` and `to`, each about a caller of its own as far as they go. */
export function plantEvents(
  random: Random,
  callers: readonly Caller[],
  { from, to, each }: { from: number; to: number; each: number },
): Injected {
  const out: Injected = { faults: [], calls: [], sizes: [] }
  const people = callers.filter((c) => !c.weekends)
  const anyone = callers.filter((c) => c.name !== POLLER)
  const days = Math.max(1, Math.round((to - from) / DAY_S))
  const note = (kind: Fault['kind'], begin: number, end: number, more: Partial<Fault>): void => {
    out.faults.push({
      kind,
      finds: findsOf(kind),
      from: begin,
      to: end,
      server: '',
      tool: '',
      caller: '',
      size: 1,
      traffic: 0,
      ...more,
    })
  }
  /** A moment in the caller's own hours, on a day on which it works. */
  const atWork = (caller: Caller, i: number): number => {
    let day = from + (i % days) * DAY_S
    for (let k = 0; k < days && isWeekend(day) && !caller.weekends; k++)
      day = from + ((i + k + 1) % days) * DAY_S
    const [first, last] = caller.hours
    return Math.floor(day + random.between(first + 0.5, last - 1.5) * 3600)
  }
  for (let i = 0; i < each; i++) {
    const loose = people[i % people.length]!
    const at = atWork(loose, i)
    const server = `s${i % SERVERS}`
    note('new_tool', at, at + 300, { server, tool: `t${TOOLS - 1}-${i}`, caller: loose.name, size: 1 })
    out.calls.push(call(loose, at, { server, tool: `t${TOOLS - 1}-${i}`, run: `new-${i}`, arguments: 'x' }))

    const night = people[(i + 3) % people.length]!
    const begin = Math.floor(
      from + (i % days) * DAY_S + ((night.hours[0] - random.between(3.5, 5) + 24) % 24) * 3600,
    )
    note('off_hours', begin, begin + 1200, { caller: night.name })
    for (let k = 0; k < 12; k++)
      out.calls.push(
        call(night, begin + k * 90, {
          ...random.pick(night.tools),
          run: `night-${i}`,
          arguments: `${random.int(1e6)}`,
        }),
      )

    const stuck = anyone[(i * 2 + 1) % anyone.length]!
    const tool = random.pick(stuck.tools)
    const count = 30 + random.int(120)
    const pace = random.between(0.5, 6)
    const start = atWork(stuck, i)
    note('retry_storm', start, Math.floor(start + count * pace), { ...tool, caller: stuck.name, size: count })
    for (let k = 0; k < count; k++)
      out.calls.push(
        call(stuck, start + k * pace, {
          ...tool,
          run: `storm-${i}`,
          arguments: `same-${i}`,
          outcome: 'tool_error',
        }),
      )

    const looping = anyone[(i * 2 + 2) % anyone.length]!
    const again = random.pick(looping.tools)
    const loops = 25 + random.int(60)
    const gap = random.between(3, 40)
    const once = atWork(looping, i + 1)
    note('agent_loop', once, Math.floor(once + loops * gap), { ...again, caller: looping.name, size: loops })
    for (let k = 0; k < loops; k++)
      out.calls.push(call(looping, once + k * gap, { ...again, run: `loop-${i}`, arguments: `loop-${i}` }))

    if (i < SERVERS) {
      const shrunk = from + (i % days) * DAY_S + Math.floor(random.between(9, 13) * 3600)
      const factor = random.pick([0.1, 0.3, 0.5, 0.7])
      const end = shrunk + 2 * 3600
      out.sizes.push({ server, from: shrunk, to: end, factor })
      note('list_shrinkage', shrunk, end, { server, size: factor })
    }
  }
  return out
}

/** Calls of a day with what was planted in it, in order of time. */
export function wholeDay(random: Random, callers: readonly Caller[], day: number, planted: Injected): Call[] {
  const usual = callers.flatMap((caller) => usualDay(random, caller, day))
  const own = planted.calls.filter((c) => c.ts >= day && c.ts < day + DAY_S)
  const shrunk = (c: Call): Call => {
    const hit =
      c.method === 'tools/list' &&
      planted.sizes.find((s) => s.server === c.server && c.ts >= s.from && c.ts < s.to)
    return hit ? { ...c, list_items: Math.floor(c.list_items * hit.factor) } : c
  }
  return [...usual, ...own].map(shrunk).sort((a, b) => a.ts - b.ts)
}
