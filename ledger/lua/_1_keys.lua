-- What every transition shares. The loader puts it before each script, after what is rendered from Python:
--   LAYOUT        key name -> pattern           (ledger/keys.py)
--   TRANSITIONS   event -> from -> to           (lowland/spec/states.py)
--   FULFILLED     event -> state -> true        (lowland/spec/states.py)
--   TOP_PRIORITY  the highest there is          (lowland/spec/job.py)
--   COMMAND_LINE  who does what `lowland keys` does   (ledger/access.py)
--   WAIT_BOUNDS_MS  of the histogram of waits   (ledger/measures.py)
-- KEYS[1] is always the prefix of all keys. JSON is made in Python and only stored and moved here.

local PREFIX = KEYS[1]
local EVENTS_KEPT = 1000
-- messages to a job's owner, the latest
local DELIVERIES_KEPT = 32
-- a queue's score: priority first, then age
local PRIORITY_STEP = 1e13
local VERSIONS = 2 ^ 31
-- an answer is kept for its repetition for longer than any client goes on repeating a call
local ANSWER_KEPT_MS = 3600000

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

-- Write field, value, ... from the given index of a list on; Lua passes only so many arguments at once.
local function set_fields(name, list, first)
  for i = first, #list, 1000 do redis.call('HSET', name, unpack(list, i, math.min(i + 999, #list))) end
end

local function get(id, ...)
  return unpack(redis.call('HMGET', key('job', id), ...))
end

-- What GET shows of a job has changed: give that a version, and wake those who follow it. Versions are times in ms, or one
-- more than the last, so that a server that has lost its last second does not give one again for something else; and
-- go around within 31 bits, which is all they cost.
local function changed(id)
  local version, now = tonumber(get(id, 'version') or 0), now_ms() % VERSIONS
  local later = (now - version) % VERSIONS
  version = later > 0 and later < VERSIONS / 2 and now or (version + 1) % VERSIONS
  redis.call('HSET', key('job', id), 'version', integer(version))
  redis.call('PUBLISH', key('changes'), id)
end

-- Whether there is such a job for whom it concerns: its owner, or '' for anybody. To others it is as if it were not there.
local function is_there(id, owner)
  local of = get(id, 'owner')
  return of and (owner == '' or of == owner)
end

-- Whether an owner has as many unfinished jobs as it may; a quota of '' is none.
local function is_at_quota(owner, quota)
  return quota ~= '' and redis.call('SCARD', key('unfinished', owner)) >= tonumber(quota)
end

local function note(id, event, now, ...)
  redis.call('XADD', key('events', id), 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', event, 'at_ms', integer(now), ...)
  changed(id)
end

-- Count something that happened; ledger/measures.py says what there is.
local function count(name, by) redis.call('HINCRBY', key('counters'), name, by or 1) end

-- Whether a call with this id of its own has been executed before.
local function was_executed(request)
  return redis.call('EXISTS', key('request', request)) == 1
end

-- kept_ms: where nobody repeats the call for as long as others are repeated
local function mark_executed(request, kept_ms)
  redis.call('SET', key('request', request), 1, 'PX', kept_ms or ANSWER_KEPT_MS)
end

-- Have the keeper look around at once.
local function wake_keeper()
  redis.call('LPUSH', key('wake'), 1)
  redis.call('LTRIM', key('wake'), 0, 0)
end

-- Something for the keeper to do, once; a member is a job's id and perhaps more.
local function add_chore(kind, member, due_ms)
  redis.call('ZADD', key('chores', kind), integer(due_ms), member)
  wake_keeper()
end

local function drop_chore(kind, member)
  redis.call('ZREM', key('chores', kind), member)
  redis.call('HDEL', key('failures', kind), member)
  redis.call('DEL', key('taken', kind, member))
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

-- What the jobs of a queue need, whosever they are.
local function without_owner(name)
  return string.match(name, '^.-:.-:.-:.-:.-:')
end

-- A job that was put back keeps the place its age gives it.
local function enqueue(id, now)
  local priority, created_ms, name, owner = get(id, 'priority', 'created_ms', 'queue', 'owner')
  redis.call('HSET', key('job', id), 'queued_ms', integer(now))
  redis.call('SADD', key('unfinished', owner), id)
  local score = integer((TOP_PRIORITY - priority) * PRIORITY_STEP + created_ms)
  redis.call('ZADD', key('queue', name), score, id)
  redis.call('SADD', key('queues'), name)
  redis.call('ZADD', key('needing', without_owner(name)), score, id)
  redis.call('SADD', key('needs'), without_owner(name))
  wake_keeper()
end

local function dequeue(id)
  local name = get(id, 'queue')
  redis.call('HDEL', key('job', id), 'queued_ms')
  redis.call('ZREM', key('queue', name), id)
  if redis.call('ZCARD', key('queue', name)) == 0 then redis.call('SREM', key('queues'), name) end
  local needs = without_owner(name)
  redis.call('ZREM', key('needing', needs), id)
  if redis.call('ZCARD', key('needing', needs)) == 0 then redis.call('SREM', key('needs'), needs) end
end

-- Nobody tries any more to tell a job's owner of something that waited.
local function give_up(id, message)
  drop_chore('webhook', id .. ' ' .. message)
  count('chore:webhook:given_up')
end

-- Of all that waits to be told about a job nobody tells any more.
local function give_up_all(id)
  local all = redis.call('HGETALL', key('deliveries', id))
  for i = 1, #all, 2 do
    local rest = string.match(all[i + 1], '^pending( .*)$')
    if rest then
      redis.call('HSET', key('deliveries', id), all[i], 'given_up' .. rest)
      give_up(id, all[i])
    end
  end
end

-- Of too many messages to a job's owner drop the oldest, one that waits only where all do.
local function drop_oldest_delivery(id)
  local oldest, oldest_waits, least
  local all = redis.call('HGETALL', key('deliveries', id))
  for i = 1, #all, 2 do
    local waits = string.find(all[i + 1], '^pending') ~= nil
    local age = string.match(all[i], '%d+$') + (waits and 1e13 or 0)
    if not least or age < least then oldest, oldest_waits, least = all[i], waits, age end
  end
  redis.call('HDEL', key('deliveries', id), oldest)
  if oldest_waits then give_up(id, oldest) end
end

-- The owner is told of an event, if that was asked for and nobody has answered that he is gone.
local function tell_owner(id, event, now)
  local wanted, status = get(id, 'webhook_events', 'status')
  local asked = wanted and string.find(',' .. wanted .. ',', ',' .. event .. ',', 1, true)
  local deliveries = key('deliveries', id)
  if not asked or redis.call('HEXISTS', deliveries, 'disabled') == 1 then return end
  -- a message's id is its event and time, and a life may be over within a millisecond
  local ids = {}
  for _, told in ipairs(redis.call('HKEYS', deliveries)) do ids[string.gsub(told, ' .* ', ' ')] = true end
  while ids[event .. ' ' .. integer(now)] do now = now + 1 end
  local message = table.concat({event, status, integer(now)}, ' ')
  if redis.call('HLEN', deliveries) >= DELIVERIES_KEPT then drop_oldest_delivery(id) end
  redis.call('HSET', deliveries, message, 'pending 0 - - ')
  add_chore('webhook', id .. ' ' .. message, now)
end

-- What follows when a job has come to its end.
local function finish(id, now)
  count('finished:' .. get(id, 'status'))
  redis.call('HSET', key('job', id), 'finished_ms', integer(now))
  redis.call('ZADD', key('finished'), integer(now), id)
  redis.call('SREM', key('unfinished', get(id, 'owner')), id)
  add_chore('archive', id, now)
  tell_owner(id, 'finished', now)
end

local function clear_error(id) redis.call('HDEL', key('job', id), 'error', 'error_ms') end

-- Move a job by an event that came from outside of any run.
local function move_by_hand(id, event, now)
  if get(id, 'status') == 'queued' then dequeue(id) end
  local to = move(id, event)
  clear_error(id)
  note(id, to, now)
  if to == 'queued' then enqueue(id, now) elseif to == 'cancelled' then finish(id, now) end
end
