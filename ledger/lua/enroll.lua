-- A worker starts, or finds that the ledger has forgotten it. It takes the name over from whoever had it and is silent by
-- now, and runs of runners that do not live under it any more end.
--   KEYS  1 prefix
--   ARGV  1 worker   2 incarnation (one per start)   3 id of its artifact store   4 detail and 5 error (JSON) of runs that
--         end   6 how many words follow that are field, value, ... of what it says of itself   then the runners that live
--   ->    {'ok', the runs that were ended as `add_ended` gives them} | {'name_in_use'}
--         | {'other_store', id of the store that the ledger knows}            event: their new status
local worker, incarnation, store, detail, error, said = unpack(ARGV, 1, 6)
local now = now_ms()
-- several heartbeats
local SILENT_MS = 3000
local WORKER_FORGOTTEN_MS = 86400000
redis.call('SETNX', key('store'), store)
local known_store = redis.call('GET', key('store'))
if known_store ~= store then return {'other_store', known_store} end
local holding = redis.call('HGET', key('worker', worker), 'incarnation')
local heard_ms = redis.call('ZSCORE', key('workers'), worker)
if holding and holding ~= incarnation and heard_ms and now - heard_ms < SILENT_MS then return {'name_in_use'} end
-- workers long gone are forgotten, so that names that never come back do not pile up
for _, old in ipairs(redis.call('ZRANGE', key('workers'), '-inf', integer(now - WORKER_FORGOTTEN_MS), 'BYSCORE')) do
  if old ~= worker then
    redis.call('ZREM', key('workers'), old)
    redis.call('DEL', key('worker', old), key('slots', old))
  end
end
if holding ~= incarnation then redis.call('DEL', key('worker', worker)) end
redis.call('HSET', key('worker', worker), 'incarnation', incarnation, 'since_ms', integer(now), unpack(ARGV, 7, 6 + said))
redis.call('ZADD', key('workers'), integer(now), worker)
wake_keeper()
return {'ok', unpack(clear_slots(worker, not_among_arguments(7 + said), detail, error, now))}
