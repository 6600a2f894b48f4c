/**
 * What Redis does for limits, in Lua, so that a call's limits are one round trip and all or nothing. The clock is Redis' own:
 * those of the machines may differ. Kinds: r rate, c concurrency, w quota and money.
 *
 * Keys: r: a number, when the bucket is full again (microseconds since 1970). c: a hash, for each machine the units it has
 * and until when (ms) that is believed. w: a number; the period is in the name.
 */

/** Arguments of a key: kind, units, wanted beside, capacity, microseconds a call of a rate takes, ttl in ms. */
export const TAKE_ARGUMENTS = 6

const READ = `
local function taken(key, kind, us)
  if kind == 'r' then return math.max(tonumber(redis.call('GET', key) or '0'), us) end
  if kind == 'w' then return tonumber(redis.call('GET', key) or '0') end
  local used, all = 0, redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    local units, till = string.match(all[j + 1], '^(%d+) (%d+)$')
    if tonumber(till) < us / 1000 then redis.call('HDEL', key, all[j]) else used = used + tonumber(units) end
  end
  return used
end
local function own(key, machine)
  local text = redis.call('HGET', key, machine)
  return text and tonumber(string.match(text, '^(%d+)')) or 0
end
local function keep(key, machine, units, us, ttl)
  if units <= 0 then redis.call('HDEL', key, machine) return end
  redis.call('HSET', key, machine, string.format('%.0f %.0f', units, us / 1000 + ttl))
  redis.call('PEXPIRE', key, ttl * 2)
end
local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
`

/** ARGV: machine, lent part, then TAKE_ARGUMENTS a key. → {1, lent, taken, lent, taken, …} or {0, place, taken, retry ms}. */
export const TAKE = `${READ}
local rooms, states = {}, {}
for i = 1, #KEYS do
  local o = 2 + (i - 1) * ${TAKE_ARGUMENTS}
  local kind, units, capacity, step = ARGV[o + 1], tonumber(ARGV[o + 2]), tonumber(ARGV[o + 4]), tonumber(ARGV[o + 5])
  local state = taken(KEYS[i], kind, us)
  local room = capacity - state
  if kind == 'r' then room = math.floor((capacity * step - (state - us)) / step + 0.000001) end
  if room < units then
    local retry = 0
    if kind == 'r' then retry = math.ceil((state + units * step - us - capacity * step) / 1000) end
    return { 0, i - 1, string.format('%.0f', capacity - room), retry }
  end
  rooms[i], states[i] = room, state
end
local out = { 1 }
for i = 1, #KEYS do
  local o = 2 + (i - 1) * ${TAKE_ARGUMENTS}
  local kind, units, want = ARGV[o + 1], tonumber(ARGV[o + 2]), tonumber(ARGV[o + 3])
  local capacity, step, ttl = tonumber(ARGV[o + 4]), tonumber(ARGV[o + 5]), tonumber(ARGV[o + 6])
  local lent = math.max(0, math.min(want, math.floor((rooms[i] - units) / tonumber(ARGV[2]))))
  local total = units + lent
  if kind == 'r' then
    local full = states[i] + total * step
    redis.call('SET', KEYS[i], string.format('%.0f', full), 'PX', string.format('%.0f', math.ceil((full - us) / 1000) + 1000))
  elseif kind == 'c' then
    keep(KEYS[i], ARGV[1], own(KEYS[i], ARGV[1]) + total, us, ttl)
  else
    redis.call('INCRBY', KEYS[i], string.format('%.0f', total))
    redis.call('PEXPIRE', KEYS[i], string.format('%.0f', ttl))
  end
  out[#out + 1] = lent
  out[#out + 1] = string.format('%.0f', capacity - rooms[i] + total)
end
return out
`

/** ARGV: machine, then kind, units that come back, microseconds a call takes, ttl a key. Below zero: more was used. */
export const GIVE_BACK = `${READ}
for i = 1, #KEYS do
  local o = 1 + (i - 1) * 4
  local kind, back, step, ttl = ARGV[o + 1], tonumber(ARGV[o + 2]), tonumber(ARGV[o + 3]), tonumber(ARGV[o + 4])
  if kind == 'c' then
    keep(KEYS[i], ARGV[1], math.max(0, own(KEYS[i], ARGV[1]) - back), us, ttl)
  elseif kind == 'w' then
    local left = tonumber(redis.call('GET', KEYS[i]) or '0') - back
    redis.call('SET', KEYS[i], string.format('%.0f', math.max(0, left)), 'PX', string.format('%.0f', ttl))
  else
    local state = tonumber(redis.call('GET', KEYS[i]) or '0')
    if state > us then
      local full = math.max(us, state - back * step)
      redis.call('SET', KEYS[i], string.format('%.0f', full), 'PX', string.format('%.0f', math.ceil((full - us) / 1000) + 1000))
    end
  end
end
return 1
`

/**
 * ARGV: machine, `exact` or `least`, then units and ttl a key: what this machine has of concurrency. `least`: asks that are
 * under way may have made it more.
 */
export const HOLD = `${READ}
for i = 1, #KEYS do
  local units = tonumber(ARGV[1 + i * 2])
  if ARGV[2] == 'least' then units = math.max(units, own(KEYS[i], ARGV[1])) end
  keep(KEYS[i], ARGV[1], units, us, tonumber(ARGV[2 + i * 2]))
end
return 1
`

/** ARGV: units taken while it was away and not refilled since, microseconds a call takes, capacity: a rate is at most used up by it. */
export const OWE_RATES = `${READ}
for i = 1, #KEYS do
  local o = (i - 1) * 3
  local units, step, capacity = tonumber(ARGV[o + 1]), tonumber(ARGV[o + 2]), tonumber(ARGV[o + 3])
  local state = taken(KEYS[i], 'r', us)
  local full = math.max(state, math.min(state + units * step, us + capacity * step))
  redis.call('SET', KEYS[i], string.format('%.0f', full), 'PX', string.format('%.0f', math.ceil((full - us) / 1000) + 1000))
end
return 1
`

/** ARGV: seen, owed, ttl a key: a Redis that forgot is told what was there, and then what was taken while it was away. */
export const RESTORE = `
for i = 1, #KEYS do
  local o = (i - 1) * 3
  local seen, owed = tonumber(ARGV[o + 1]), tonumber(ARGV[o + 2])
  local now = math.max(tonumber(redis.call('GET', KEYS[i]) or '0'), seen) + owed
  redis.call('SET', KEYS[i], string.format('%.0f', math.max(0, now)), 'PX', ARGV[o + 3])
end
return 1
`
