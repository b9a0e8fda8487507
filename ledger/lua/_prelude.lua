-- What every transition shares. The loader puts it before each script, after what is rendered from Python:
--   LAYOUT        key name -> pattern           (ledger/keys.py)
--   TRANSITIONS   event -> from -> to           (lowland/spec/states.py)
--   TOP_PRIORITY  the highest there is          (lowland/spec/job.py)
-- KEYS[1] is always the prefix of all keys. JSON is made in Python and only stored and moved here.

local PREFIX = KEYS[1]
local EVENTS_KEPT = 1000
local METRICS_KEPT = 10000
-- a queue's score: priority first, then age
local PRIORITY_STEP = 1e13
-- a worker is alive while its last heartbeat is younger
local WORKER_ALIVE_MS = 15000
local WORKER_FORGOTTEN_MS = 86400000

local function key(name, ...)
  return PREFIX .. string.format(LAYOUT[name], ...)
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lua writes large numbers as 1.7e+12
local function integer(number)
  return string.format('%.0f', number)
end

local function get(id, ...)
  return unpack(redis.call('HMGET', key('job', id), ...))
end

local function note(id, event, now, ...)
  redis.call('XADD', key('events', id), 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', event, 'at_ms', integer(now), ...)
end

-- Move a job to the state that the event leads to; false where the table of states does not allow it.
local function move(id, event)
  local status = get(id, 'status')
  local to = TRANSITIONS[event][status]
  if not to then return false end
  redis.call('HSET', key('job', id), 'status', to)
  redis.call('ZREM', key('jobs_by_status', status), id)
  redis.call('ZADD', key('jobs_by_status', to), 0, id)
  return to
end

local function queue_name(id)
  local class, world_size, owner = get(id, 'device_class', 'world_size', 'owner')
  return class .. ':' .. world_size .. ':' .. owner
end

-- A job that was put back keeps the place its age gives it.
local function enqueue(id)
  local priority, created_ms = get(id, 'priority', 'created_ms')
  local name = queue_name(id)
  redis.call('ZADD', key('queue', name), integer((TOP_PRIORITY - priority) * PRIORITY_STEP + created_ms), id)
  redis.call('SADD', key('queues'), name)
  redis.call('LPUSH', key('wake'), 1)
  redis.call('LTRIM', key('wake'), 0, 0)
end

local function dequeue(id)
  local name = queue_name(id)
  redis.call('ZREM', key('queue', name), id)
  if redis.call('ZCARD', key('queue', name)) == 0 then redis.call('SREM', key('queues'), name) end
end

-- A device in use holds "job token runner".
local function holder(worker, device)
  return string.match(redis.call('HGET', key('devices', worker), device) or '', '^(%S+) (%S+) (%S+)$')
end

-- Those of a run: one, or several with commas.
local function free_devices(worker, devices, id, token)
  for device in string.gmatch(devices, '[^,]+') do
    local held_id, held_token = holder(worker, device)
    if held_id == id and held_token == token then redis.call('HDEL', key('devices', worker), device) end
  end
end

-- Close a run: the state moves by `event`, the lease goes, the attempt's history gets its end.
--   outcome  succeeded | failed | cancelled | put_back | lost
--   error    JSON {type, title, detail}, or '' to leave what is there
-- Whatever was not put back has spent an attempt.
local function end_run(id, event, outcome, detail, error, now)
  local token, worker, owner = get(id, 'token', 'worker', 'owner')
  local to = move(id, event)
  redis.call('ZREM', key('leases'), id)
  if redis.call('HINCRBY', key('running'), owner, -1) <= 0 then redis.call('HDEL', key('running'), owner) end
  local run = 'run:' .. token .. ':'
  redis.call('HSET', key('job', id), run .. 'ended_ms', integer(now), run .. 'outcome', outcome, run .. 'detail', detail,
    'requested', '')
  if outcome ~= 'put_back' then redis.call('HINCRBY', key('job', id), 'spent', 1) end
  if outcome == 'succeeded' then redis.call('HDEL', key('job', id), 'error', 'error_ms') end
  if error ~= '' then redis.call('HSET', key('job', id), 'error', error, 'error_ms', integer(now)) end
  note(id, to, now, 'outcome', outcome, 'token', token, 'worker', worker, 'detail', detail)
  if to == 'queued' then enqueue(id) else redis.call('HSET', key('job', id), 'finished_ms', integer(now)) end
  return to
end

-- End a run that its engine, runner or worker did not survive: the wish that is outstanding is fulfilled, else the job
-- runs again while attempts are left.
local function lose_run(id, detail, error, now)
  local requested, spent, max_attempts = get(id, 'requested', 'spent', 'max_attempts')
  if requested == 'cancel' then return end_run(id, 'cancel', 'cancelled', detail, '', now) end
  local event = tonumber(spent) + 1 < tonumber(max_attempts) and 'put_back' or 'fail'
  return end_run(id, event, 'lost', detail, error, now)
end

-- Whether the job is running under this fencing token; only then may a worker write.
local function holds_lease(id, token)
  local status, current = get(id, 'status', 'token')
  return status == 'running' and current == token
end

-- Free every device of a worker whose runner is gone, and end the run where it still held the lease.
--   gone  runner -> whether it is
-- Gives {job id, status, ...} of the runs that were ended.
local function clear_devices(worker, gone, detail, error, now)
  local ended = {}
  for _, device in ipairs(redis.call('HKEYS', key('devices', worker))) do
    local id, token, runner = holder(worker, device)
    if gone(runner) then
      redis.call('HDEL', key('devices', worker), device)
      if holds_lease(id, token) then
        ended[#ended + 1] = id
        ended[#ended + 1] = lose_run(id, detail, error, now)
      end
    end
  end
  return ended
end

-- Among ARGV, from the given index on, are the runners that live: what tells whether one does not.
local function not_among_arguments(first)
  local living = {}
  for i = first, #ARGV do living[ARGV[i]] = true end
  return function(runner) return not living[runner] end
end

-- Reading.

-- Device class -> the devices of the largest live worker that takes it.
local function live_classes()
  local live = {}
  for _, worker in ipairs(redis.call('ZRANGE', key('workers'), integer(now_ms() - WORKER_ALIVE_MS), '+inf', 'BYSCORE')) do
    local known = redis.call('HMGET', key('worker', worker), 'classes', 'devices')
    local _, devices = string.gsub(known[2] or '', '[^,]+', '')
    for class in string.gmatch(known[1] or '', '[^,]+') do live[class] = math.max(live[class] or 0, devices) end
  end
  return live
end

-- Jobs that are claimed before this one, as far as priority and age decide, among classes that share machines with it.
local function jobs_ahead(id)
  local class, own = get(id, 'device_class'), queue_name(id)
  local score = redis.call('ZSCORE', key('queue', own), id)
  local ahead = redis.call('ZRANK', key('queue', own), id)
  for _, name in ipairs(redis.call('SMEMBERS', key('queues'))) do
    local other = string.match(name, '^([^:]*):')
    if name ~= own and (other == class or other == 'any' or class == 'any') then
      ahead = ahead + redis.call('ZCOUNT', key('queue', name), '-inf', '(' .. score)
    end
  end
  return ahead
end

-- One job as {hash as a flat list, jobs ahead, devices of the largest live worker that takes its class}.
local function show(id, live)
  local status, class = get(id, 'status', 'device_class')
  local ahead = status == 'queued' and jobs_ahead(id) or 0
  return {redis.call('HGETALL', key('job', id)), ahead, live[class] or 0}
end
