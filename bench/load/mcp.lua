-- wrk script: sends the request of a file with a fresh JSON-RPC id each time, and prints what happened as one JSON line.
-- wrk -t1 -cN -d1s -s mcp.lua URL -- <request file>
-- The file holds one or more whole HTTP requests, each closed by a line of its own with a NUL byte; they are sent in
-- turn. In each, seven 7s in a row stand for the id (fixed width, so the length of the body never changes).

local parts = {}
local turn = 0
local id = 1000000

function init(args)
  local file = assert(io.open(args[1], 'rb'))
  local all = file:read('*a')
  file:close()
  for one in all:gmatch('([^%z]+)%z') do
    local a, b = one:find('7777777', 1, true)
    parts[#parts + 1] = { one:sub(1, a - 1), one:sub(b + 1) }
  end
end

function request()
  id = id + 1
  if id > 9999999 then id = 1000000 end
  turn = turn % #parts + 1
  local p = parts[turn]
  return p[1] .. id .. p[2]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"calls":%d,"duration_us":%d,"bytes":%d,"failed":%d,"p50_us":%.0f,"p90_us":%.0f,"p99_us":%.0f,"p999_us":%.0f,"max_us":%.0f}\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9), latency.max))
end
