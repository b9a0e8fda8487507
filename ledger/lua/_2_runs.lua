-- Runs: one engine's time with a job, under one fencing token.

-- Whether the job is running under this fencing token; only then may a worker write.
local function holds_lease(id, token)
  local status, current = get(id, 'status', 'token')
  return status == 'running' and current == token
end

local function extend_lease(id, lease_ms)
  redis.call('ZADD', key('leases'), integer(now_ms() + lease_ms), id)
end

-- A slot in use holds "job token runner".
local function holder(worker, slot)
  return string.match(redis.call('HGET', key('slots', worker), slot) or '', '^(%S+) (%S+) (%S+)$')
end

-- Those of a run: one, or several with commas.
local function free_slots(worker, slots, id, token)
  for slot in string.gmatch(slots, '[^,]+') do
    local held_id, held_token = holder(worker, slot)
    if held_id == id and held_token == token then redis.call('HDEL', key('slots', worker), slot) end
  end
  wake_keeper()
end

-- Runs that a job's record tells of, the latest.
local RUNS_KEPT = 100

local function forget_run(id, token)
  if token < 1 then return end
  local run = 'run:' .. integer(token) .. ':'
  for _, name in ipairs({'attempt', 'worker', 'device', 'model', 'engine', 'started_ms', 'ended_ms', 'outcome',
    'detail'}) do
    redis.call('HDEL', key('job', id), run .. name)
  end
end

-- What a job's record holds about its results; a fresh start goes without.
local RESULTS = {'progress', 'objective', 'accuracy', 'best_accuracy', 'test_accuracy', 'metrics', 'stop_reason',
  'checkpoints', 'settled'}

local function forget_results(id)
  redis.call('HDEL', key('job', id), unpack(RESULTS))
  for _, name in ipairs(redis.call('HKEYS', key('job', id))) do
    if string.find(name, '^artifact:') or string.find(name, '^notice:') then redis.call('HDEL', key('job', id), name) end
  end
end

-- Close a run: the state moves by `event`, the lease goes, the attempt's history gets its end.
--   outcome  succeeded | failed | cancelled | paused | put_back | lost
--   error    JSON {type, title, detail}, or '' where nothing went wrong
-- An attempt is spent when an engine was started and has not stopped by request.
local function end_run(id, event, outcome, detail, error, now)
  local token, worker, owner = get(id, 'token', 'worker', 'owner')
  local run = 'run:' .. token .. ':'
  local to = move(id, event)
  redis.call('ZREM', key('leases'), id)
  if redis.call('HINCRBY', key('running'), owner, -1) <= 0 then redis.call('HDEL', key('running'), owner) end
  redis.call('HSET', key('job', id), run .. 'ended_ms', integer(now), run .. 'outcome', outcome, run .. 'detail', detail,
    'requested', '')
  local by_request = outcome == 'cancelled' or outcome == 'paused' or outcome == 'put_back'
  if not by_request and get(id, run .. 'engine') then redis.call('HINCRBY', key('job', id), 'spent', 1) end
  count('ended:' .. outcome)
  if error == '' then clear_error(id)
  else redis.call('HSET', key('job', id), 'error', error, 'error_ms', integer(now)) end
  note(id, to, now, 'outcome', outcome, 'token', token, 'worker', worker, 'detail', detail)
  if to == 'queued' then enqueue(id, now) elseif to ~= 'paused' then finish(id, now) end
  return to
end

-- End a run whose engine stopped by request: as what is wished by now, else the job waits for another worker.
local function stop_run(id, detail, error, now)
  local wish = get(id, 'requested')
  if wish == 'cancel' then return end_run(id, 'cancel', 'cancelled', detail, '', now) end
  if wish == 'pause' then return end_run(id, 'pause', 'paused', detail, '', now) end
  return end_run(id, 'put_back', 'put_back', detail, error, now)
end

-- End a run that its engine, runner or worker did not survive: the wish that is outstanding is fulfilled, else the job
-- runs again while attempts are left.
local function lose_run(id, detail, error, now)
  local requested, token, spent, allowed = get(id, 'requested', 'token', 'spent', 'attempts_allowed')
  if requested ~= '' then return stop_run(id, detail, error, now) end
  local spends = get(id, 'run:' .. token .. ':engine') and 1 or 0
  local event = tonumber(spent) + spends < tonumber(allowed) and 'put_back' or 'fail'
  return end_run(id, event, 'lost', detail, error, now)
end

-- Add a run that was ended, and the state that led to, to an answer: job id, status, token, attempt, id of the request
-- that made the job.
local function add_ended(list, id, status)
  local token, request_id = get(id, 'token', 'request_id')
  for _, word in ipairs({id, status, token, get(id, 'run:' .. token .. ':attempt') or '', request_id or ''}) do
    list[#list + 1] = word
  end
end

-- Free every slot of a worker whose runner is gone, and end the run where it still held the lease.
--   gone  runner -> whether it is
-- Gives the runs that were ended, as `add_ended` does.
local function clear_slots(worker, gone, detail, error, now)
  local ended = {}
  for _, slot in ipairs(redis.call('HKEYS', key('slots', worker))) do
    local id, token, runner = holder(worker, slot)
    if gone(runner) then
      redis.call('HDEL', key('slots', worker), slot)
      wake_keeper()
      if holds_lease(id, token) then
        count('lost:runner_gone')
        add_ended(ended, id, lose_run(id, detail, error, now))
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
