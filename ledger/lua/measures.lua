-- Read what GET /metrics shows of the ledger. Its cost grows with the queues, workers and leases there are, not with jobs.
--   KEYS  1 prefix
--   ARGV  1 states of jobs with commas   2 kinds of chores with commas
--   ->    {'ok', now in ms, {state, jobs, ...}, {class, jobs waiting, queued_ms of the oldest head of a queue or '', ...},
--         {worker, alive, draining, slots, slots in use, ...}, {worker, progress (JSON) or '', ...} of running jobs,
--         {kind, chores, ...}, counters as a flat list}                       event: none
local states, kinds = unpack(ARGV)
local now = now_ms()

local by_state = {}
for state in string.gmatch(states, '[^,]+') do
  by_state[#by_state + 1] = state
  by_state[#by_state + 1] = redis.call('ZCARD', key('jobs_by_status', state))
end

-- The longest that one of the jobs has waited that come first among those of their priority.
local function oldest_of(name)
  local oldest, from = nil, '-inf'
  while true do
    local head = redis.call('ZRANGE', key('queue', name), from, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    if not head[1] then return oldest end
    local queued_ms = tonumber((get(head[1], 'queued_ms')))
    if queued_ms and (not oldest or queued_ms < oldest) then oldest = queued_ms end
    from = integer((math.floor(tonumber(head[2]) / PRIORITY_STEP) + 1) * PRIORITY_STEP)
  end
end

local depth, oldest = {}, {}
for _, name in ipairs(redis.call('SMEMBERS', key('queues'))) do
  local class, queued_ms = needs_of(name).class, oldest_of(name)
  depth[class] = (depth[class] or 0) + redis.call('ZCARD', key('queue', name))
  if queued_ms and (not oldest[class] or queued_ms < oldest[class]) then oldest[class] = queued_ms end
end
local queues = {}
for class, jobs in pairs(depth) do
  for _, word in ipairs({class, jobs, oldest[class] and integer(oldest[class]) or ''}) do queues[#queues + 1] = word end
end

local workers = {}
for _, worker in ipairs(redis.call('ZRANGE', key('workers'), 0, -1)) do
  local said = machine(worker)
  if said then
    for _, word in ipairs({worker, is_alive(worker) and 1 or 0, said.draining and 1 or 0, #said.slots,
      redis.call('HLEN', key('slots', worker))}) do workers[#workers + 1] = word end
  end
end

local running = {}
for _, id in ipairs(redis.call('ZRANGE', key('leases'), 0, -1)) do
  local worker, progress = get(id, 'worker', 'progress')
  running[#running + 1] = worker or ''
  running[#running + 1] = progress or ''
end

local chores = {}
for kind in string.gmatch(kinds, '[^,]+') do
  chores[#chores + 1] = kind
  chores[#chores + 1] = redis.call('ZCARD', key('chores', kind))
end

return {'ok', integer(now), by_state, queues, workers, running, chores, redis.call('HGETALL', key('counters'))}
