-- Showing a job.

-- a call looks no more often than this for jobs ahead of others: people may need any number of different things
local LOOKS = 2000

-- Jobs that are claimed before one with this score, as far as priority and age decide, of those that a live worker could
-- run; and those of them that have a higher priority. At least so many, where the call has looked often enough.
local function jobs_ahead(own, score, ahead, class, live)
  local next_priority = integer(math.floor(tonumber(score) / PRIORITY_STEP) * PRIORITY_STEP)
  local higher = redis.call('ZCOUNT', key('needing', own), '-inf', '(' .. next_priority)
  live.needs = live.needs or redis.call('SMEMBERS', key('needs'))
  for _, name in ipairs(live.needs) do
    if live.looks == LOOKS then break end
    live.looks = live.looks + 1
    if live.could_run[name] == nil then
      local needs = needs_of(name)
      live.could_run[name] = false
      for _, said in ipairs(live) do
        if could_run(said, needs) then live.could_run[name] = needs.class end
      end
    end
    local runs_on = live.could_run[name]
    if name ~= own and runs_on and (runs_on == class or runs_on == 'any' or class == 'any') then
      higher = higher + redis.call('ZCOUNT', key('needing', name), '-inf', '(' .. next_priority)
      ahead = ahead + redis.call('ZCOUNT', key('needing', name), '-inf', '(' .. score)
    end
  end
  return ahead, higher
end

-- Why a queued job waits: {jobs ahead, those of higher priority, live workers of its class, those of them that read its
-- spec, those of them that have its labels, the most devices with its memory that one of those has, the most that are
-- free on one of them, whether its owner is at quota, the worker that keeps devices free for it or ''}
--   name, score, ahead  its queue, its score there, and how many who need the same are ahead of it
local function waiting(id, name, score, ahead, live)
  local reserved_by = ''
  local needs = needs_of(name)
  local running = tonumber(redis.call('HGET', key('running'), needs.owner) or 0)
  local of_class, of_version, of_labels, devices, free, at_quota = 0, 0, 0, 0, 0, 1
  for _, said in ipairs(live) do
    if id ~= '' and said.reserves == id then reserved_by = said.name end
    if said.classes[needs.class] then
      of_class = of_class + 1
      if said.versions[needs.version] then
        of_version = of_version + 1
        if has_labels(said, needs.labels) then
          of_labels = of_labels + 1
          devices = math.max(devices, count_devices(said.slots, needs.memory))
          free = math.max(free, count_devices(said.free, needs.memory))
          if not said.quota or running < said.quota then at_quota = 0 end
        end
      end
    end
  end
  local all_ahead, higher = jobs_ahead(without_owner(name), score, ahead, needs.class, live)
  return {all_ahead, higher, of_class, of_version, of_labels, devices, free, at_quota, reserved_by}
end

-- One job as {hash as a flat list, its packed part or '', why it waits or {}}.
local function show(id, live)
  local status, packed, name = get(id, 'status', 'packed', 'queue')
  local why = {}
  if status == 'queued' then
    local needing = key('needing', without_owner(name))
    why = waiting(id, name, redis.call('ZSCORE', needing, id), redis.call('ZRANK', needing, id), live)
  end
  return {redis.call('HGETALL', key('job', id)), packed and redis.call('GET', key('packed', id)) or '', why}
end

-- One worker as {name, whether it is alive, last heartbeat, its hash as a flat list, its slots in use as {slot, job,
-- when the run on it was claimed or ''}}.
local function show_worker(worker)
  local used = {}
  for _, slot in ipairs(redis.call('HKEYS', key('slots', worker))) do
    local id, token = holder(worker, slot)
    used[#used + 1] = {slot, id, get(id, 'run:' .. token .. ':started_ms') or ''}
  end
  return {worker, is_alive(worker) and 1 or 0, redis.call('ZSCORE', key('workers'), worker),
    redis.call('HGETALL', key('worker', worker)), used}
end
