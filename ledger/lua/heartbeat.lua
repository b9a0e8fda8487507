-- A worker is alive, and these are its runners; runs of those that are not among them end.
--   KEYS  1 prefix
--   ARGV  1 worker   2 incarnation   3 detail and 4 error (JSON) of runs that end   then the runners that live
--   ->    {'ok', whether it is to drain, the runs that were ended as `add_ended` gives them} | {'not_enrolled'}
--         | {'displaced'}: another worker has taken the name                  event: their new status
local worker, incarnation, detail, error = unpack(ARGV, 1, 4)
local enrolled, draining = unpack(redis.call('HMGET', key('worker', worker), 'incarnation', 'draining'))
if not enrolled then return {'not_enrolled'} end
if enrolled ~= incarnation then return {'displaced'} end
local now = now_ms()
redis.call('ZADD', key('workers'), integer(now), worker)
return {'ok', draining == '1' and 1 or 0, unpack(clear_slots(worker, not_among_arguments(5), detail, error, now))}
