-- Keep of a finished job, once its record is in the artifact store, only what is looked at often; the rest lies beside it,
-- packed, and its series and events in the store alone, but for the latest.
--   KEYS  1 prefix
--   ARGV  1 job id   2 finished_ms that its record has   3 the packed part   4 latest events and points, packed
--         then the fields that are in the packed part
--   ->    {'ok'} | {'changed'}: it is another record by now                   event: none
local id, finished_ms, part, recent = unpack(ARGV, 1, 4)
-- how long the latest are at hand, ms
local RECENT_KEPT_MS = 3600000
local current, packed = get(id, 'finished_ms', 'packed')
if current ~= finished_ms then return {'changed'} end
if packed then return {'ok'} end
for i = 5, #ARGV do redis.call('HDEL', key('job', id), ARGV[i]) end
redis.call('SET', key('packed', id), part)
redis.call('SET', key('recent', id), recent, 'PX', RECENT_KEPT_MS)
redis.call('DEL', key('metrics', id), key('events', id))
-- a hash that was large stays in its large form, unless it is written anew
local rest = redis.call('HGETALL', key('job', id))
redis.call('DEL', key('job', id))
redis.call('HSET', key('job', id), 'packed', 1)
set_fields(key('job', id), rest, 1)
return {'ok'}
