-- Bring back a finished job from its record, where the ledger does not have it.
--   KEYS  1 prefix
--   ARGV  1 job id   2 status   3 finished_ms   4 the packed part   then field, value, ... of the job's hash
--   ->    {'ok', whether it was brought back}                                 event: none
local id, status, finished_ms, part = unpack(ARGV, 1, 4)
if redis.call('EXISTS', key('job', id)) == 1 then return {'ok', 0} end
redis.call('HSET', key('job', id), 'packed', 1)
set_fields(key('job', id), ARGV, 5)
redis.call('SET', key('packed', id), part)
add_to_indexes(id, status)
redis.call('ZADD', key('finished'), finished_ms, id)
return {'ok', 1}
