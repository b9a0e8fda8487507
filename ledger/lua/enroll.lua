-- A worker starts, or finds that the ledger has forgotten it. It takes the name over from whoever had it and is silent by
-- now, and runs of runners that do not live under it any more end.
--   KEYS  1 prefix
--   ARGV  1 worker   2 incarnation (one per start)   3 device classes and 4 devices, comma separated
--         5 detail and 6 error (JSON) of runs that end   then the runners that live
--   ->    {'ok', job id, status, ...}   the runs that were ended | {'name_in_use'}      event: their new status
local worker, incarnation, classes, devices, detail, error = unpack(ARGV, 1, 6)
local now = now_ms()
-- several heartbeats
local SILENT_MS = 3000
local holding = redis.call('HGET', key('worker', worker), 'incarnation')
local heard_ms = redis.call('ZSCORE', key('workers'), worker)
if holding and holding ~= incarnation and heard_ms and now - heard_ms < SILENT_MS then return {'name_in_use'} end
-- workers long gone are forgotten, so that names that never come back do not pile up
for _, old in ipairs(redis.call('ZRANGE', key('workers'), '-inf', integer(now - WORKER_FORGOTTEN_MS), 'BYSCORE')) do
  if old ~= worker then
    redis.call('ZREM', key('workers'), old)
    redis.call('DEL', key('worker', old), key('devices', old))
  end
end
redis.call('HSET', key('worker', worker), 'incarnation', incarnation, 'classes', classes, 'devices', devices,
  'since_ms', integer(now))
redis.call('ZADD', key('workers'), integer(now), worker)
return {'ok', unpack(clear_devices(worker, not_among_arguments(7), detail, error, now))}
