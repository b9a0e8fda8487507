-- A worker starts. Its processes live and die together, so runs under its name are from before and over.
--   KEYS  1 prefix
--   ARGV  1 worker   2 device classes, comma separated   3 devices, comma separated   4 detail   5 error (JSON)
--   ->    {'ok', job id, status, ...}   the runs that were ended              event: their new status
local worker, classes, devices, detail, error = unpack(ARGV)
local now = now_ms()
local ended = {'ok'}
for _, held in ipairs(redis.call('HVALS', key('devices', worker))) do
  local id, token = string.match(held, '^(%S+) (%S+)$')
  if holds_lease(id, token) then
    ended[#ended + 1] = id
    ended[#ended + 1] = lose_run(id, detail, error, now)
  end
end
redis.call('DEL', key('devices', worker))
redis.call('HSET', key('worker', worker), 'classes', classes, 'devices', devices, 'since_ms', integer(now))
redis.call('ZADD', key('workers'), integer(now), worker)
return ended
