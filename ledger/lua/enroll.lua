-- A worker starts, or finds that the ledger has forgotten it. It takes the name over from whoever had it, and runs of
-- runners that do not live under it any more end.
--   KEYS  1 prefix
--   ARGV  1 worker   2 incarnation (one per start)   3 device classes and 4 devices, comma separated
--         5 detail and 6 error (JSON) of runs that end   then the runners that live
--   ->    {'ok', job id, status, ...}   the runs that were ended              event: their new status
local worker, incarnation, classes, devices, detail, error = unpack(ARGV, 1, 6)
local now = now_ms()
-- workers long gone are forgotten, so that names that never come back do not pile up
for _, old in ipairs(redis.call('ZRANGE', key('workers'), '-inf', integer(now - WORKER_FORGOTTEN_MS), 'BYSCORE')) do
  redis.call('ZREM', key('workers'), old)
  redis.call('DEL', key('worker', old), key('devices', old))
end
redis.call('HSET', key('worker', worker), 'incarnation', incarnation, 'classes', classes, 'devices', devices,
  'since_ms', integer(now))
redis.call('ZADD', key('workers'), integer(now), worker)
return {'ok', unpack(clear_devices(worker, not_among_arguments(7), detail, error, now))}
