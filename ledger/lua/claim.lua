-- Give a runner the best queued job that fits its machine's free devices: highest priority, then the owner with the
-- fewest running, then the oldest. Looks at the heads of the queues only. A runner that claims holds nothing: what the
-- ledger thinks it does is from a run it broke off, and ends.
-- A job that the machine could run, were more of it free, and that has waited long enough, has it keep free what gets
-- free, against others of its priority and below; one machine at a time does so for one job.
--   KEYS  1 prefix
--   ARGV  1 claim id (one per call)   2 worker   3 incarnation   4 runner   5 lease_ms
--         6 detail and 7 error (JSON) of a run broken off
--   ->    {'ok', job id, token, attempt, slots with commas, device model, the latest checkpoint's or '', spec,
--         checkpoints, id of the request that made the job or ''} | {'nothing_fits'} | {'no_free_slot'} | {'draining'} | {'not_enrolled'}  event: running
local claim_id, worker, incarnation, runner, lease_ms, detail, error = unpack(ARGV)

local function answer(id, token)
  local run = 'run:' .. token .. ':'
  local attempt, slots, model, spec, checkpoints, request_id = get(id, run .. 'attempt', run .. 'device', run .. 'model',
    'spec', 'checkpoints', 'request_id')
  local latest, former = cjson.decode(checkpoints or '[]')[1], ''
  if latest then former = get(id, 'run:' .. integer(latest.token) .. ':model') or '' end
  return {'ok', id, token, attempt, slots, model, former, spec, checkpoints or '', request_id or ''}
end

local repeated = redis.call('HMGET', key('claim', claim_id), 'id', 'token')
if repeated[1] then
  -- a repetition may come when somebody else has the job, or nobody any more
  if not holds_lease(unpack(repeated)) then return {'nothing_fits'} end
  return answer(unpack(repeated))
end

local said = machine(worker)
if not said or said.incarnation ~= incarnation then return {'not_enrolled'} end
local now = now_ms()
clear_slots(worker, function(holding) return holding == runner end, detail, error, now)
if said.draining then return {'draining'} end
local free = free_slots_of(said)
if #free == 0 then return {'no_free_slot'} end

local function is_older(one, other)
  return one.step < other.step or (one.step == other.step and one.created_ms < other.created_ms)
end

local function is_better(one, other)
  if one.step ~= other.step then return one.step < other.step end
  if one.running ~= other.running then return one.running < other.running end
  return one.created_ms < other.created_ms
end

local machines
local function has_waited(one)
  if now - one.created_ms < said.reserve_after_ms then return false end
  if now - get(one.id, 'queued_ms') < said.reserve_after_ms then return false end
  machines = machines or live_machines()
  for _, other in ipairs(machines) do
    if other.reserves == one.id and other.name ~= worker and could_run(other, one.needs) then return false end
  end
  return true
end

local running_of = {}
local counted = redis.call('HGETALL', key('running'))
for i = 1, #counted, 2 do running_of[counted[i]] = tonumber(counted[i + 1]) end
local heads, waits = {}, nil
for _, name in ipairs(redis.call('SMEMBERS', key('queues'))) do
  local needs = needs_of(name)
  local running = running_of[needs.owner] or 0
  if could_run(said, needs) and (not said.quota or running < said.quota) then
    local head = redis.call('ZRANGE', key('queue', name), 0, 0, 'WITHSCORES')
    local score = tonumber(head[2])
    local one = {id = head[1], needs = needs, running = running, step = math.floor(score / PRIORITY_STEP),
      created_ms = score % PRIORITY_STEP}
    heads[#heads + 1] = one
    if count_devices(free, needs.memory) < needs.world_size and (not waits or is_older(one, waits))
        and has_waited(one) then
      waits = one
    end
  end
end

local function best_for(slots)
  local best
  for _, one in ipairs(heads) do
    if count_devices(slots, one.needs.memory) >= one.needs.world_size and (not best or is_better(one, best)) then
      best = one
    end
  end
  return best
end

local pool = free
local best = best_for(pool)
if waits and best and best.step < waits.step then waits = nil end
redis.call('HSET', key('worker', worker), 'reserves', waits and waits.id or '')
if waits then
  pool = {}
  for _, slot in ipairs(free) do
    if slot.memory < waits.needs.memory then pool[#pool + 1] = slot end
  end
  best = best_for(pool)
end
if not best then return {'nothing_fits'} end

local function count_wait(class, ms)
  local bound = 'inf'
  for _, each in ipairs(WAIT_BOUNDS_MS) do
    if ms <= each then
      bound = integer(each)
      break
    end
  end
  count('wait:' .. class .. ':' .. bound)
  count('wait_ms:' .. class, integer(ms))
end

local id, chosen, names = best.id, choose_slots(pool, best.needs), {}
for i, slot in ipairs(chosen) do names[i] = slot.name end
local slots, model = table.concat(names, ','), chosen[1].model
count_wait(best.needs.class, now - get(id, 'queued_ms'))
dequeue(id)
move(id, 'claim')
local token = integer(redis.call('HINCRBY', key('job', id), 'token', 1))
forget_run(id, token - RUNS_KEPT)
local run = 'run:' .. token .. ':'
redis.call('HSET', key('job', id), 'worker', worker, 'device', slots, 'sequence', 0,
  run .. 'attempt', integer(get(id, 'spent') + 1), run .. 'worker', worker, run .. 'device', slots,
  run .. 'model', model, run .. 'started_ms', integer(now))
if redis.call('HSETNX', key('job', id), 'started_ms', integer(now)) == 1 then tell_owner(id, 'started', now) end
extend_lease(id, lease_ms)
for _, name in ipairs(names) do
  redis.call('HSET', key('slots', worker), name, id .. ' ' .. token .. ' ' .. runner)
end
redis.call('HINCRBY', key('running'), best.needs.owner, 1)
redis.call('HSET', key('claim', claim_id), 'id', id, 'token', token)
redis.call('PEXPIRE', key('claim', claim_id), ANSWER_KEPT_MS)
note(id, 'running', now, 'token', token, 'worker', worker, 'device', slots)
return answer(id, token)
