-- Give a runner the best queued job that fits its worker: highest priority, then the owner with the fewest running, then
-- the oldest. Looks at the heads of the queues only. A runner that claims holds nothing: what the ledger thinks it does
-- is from a run it broke off, and ends.
--   KEYS  1 prefix
--   ARGV  1 claim id (one per call)   2 worker   3 runner   4 lease_ms   5 detail and 6 error (JSON) of a run broken off
--         7 number of device classes   then these classes, then the worker's devices
--   ->    {'ok', job id, token, attempt, devices with commas, spec, checkpoints} | {'nothing_fits'} | {'no_free_device'}
--         event: running
local claim_id, worker, runner, lease_ms, detail, error, class_count = unpack(ARGV, 1, 7)
-- a claim's answer is kept for its repetition for longer than any client goes on repeating it
local CLAIM_KEPT_MS = 3600000

local function answer(id, token, device)
  local spec, checkpoints, attempt = get(id, 'spec', 'checkpoints', 'run:' .. token .. ':attempt')
  return {'ok', id, token, attempt, device, spec, checkpoints or ''}
end

local repeated = redis.call('HMGET', key('claim', claim_id), 'id', 'token', 'device')
if repeated[1] then return answer(unpack(repeated)) end

local now = now_ms()
clear_devices(worker, function(holding) return holding == runner end, detail, error, now)

local takes = {}
for i = 8, 7 + class_count do takes[ARGV[i]] = true end
local free = {}
for i = 8 + class_count, #ARGV do
  if redis.call('HEXISTS', key('devices', worker), ARGV[i]) == 0 then free[#free + 1] = ARGV[i] end
end
if #free == 0 then return {'no_free_device'} end

local best
for _, name in ipairs(redis.call('SMEMBERS', key('queues'))) do
  local class, world_size, owner = string.match(name, '^([^:]*):([^:]*):(.*)$')
  if takes[class] and tonumber(world_size) <= #free then
    local head = redis.call('ZRANGE', key('queue', name), 0, 0, 'WITHSCORES')
    local score = tonumber(head[2])
    local one = {
      id = head[1],
      step = math.floor(score / PRIORITY_STEP),
      running = tonumber(redis.call('HGET', key('running'), owner) or 0),
      age = score % PRIORITY_STEP,
      owner = owner,
      world_size = tonumber(world_size),
    }
    if not best or one.step < best.step or (one.step == best.step and (one.running < best.running
        or (one.running == best.running and one.age < best.age))) then
      best = one
    end
  end
end
if not best then return {'nothing_fits'} end

local id, device = best.id, table.concat(free, ',', 1, best.world_size)
dequeue(id)
move(id, 'claim')
local token = integer(redis.call('HINCRBY', key('job', id), 'token', 1))
local run = 'run:' .. token .. ':'
redis.call('HSET', key('job', id), 'worker', worker, 'device', device, 'sequence', 0,
  run .. 'attempt', integer(get(id, 'spent') + 1), run .. 'worker', worker, run .. 'device', device,
  run .. 'started_ms', integer(now))
redis.call('HSETNX', key('job', id), 'started_ms', integer(now))
redis.call('ZADD', key('leases'), integer(now + lease_ms), id)
for i = 1, best.world_size do
  redis.call('HSET', key('devices', worker), free[i], id .. ' ' .. token .. ' ' .. runner)
end
redis.call('HINCRBY', key('running'), best.owner, 1)
redis.call('HSET', key('claim', claim_id), 'id', id, 'token', token, 'device', device)
redis.call('PEXPIRE', key('claim', claim_id), CLAIM_KEPT_MS)
note(id, 'running', now, 'token', token, 'worker', worker, 'device', device)
return answer(id, token, device)
