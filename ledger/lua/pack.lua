-- Keep of a finished job, once its record is in the artifact store, only what is looked at often; the rest lies beside it,
-- packed, and its series and events in the store alone.
--   KEYS  1 prefix
--   ARGV  1 job id   2 finished_ms that its record has   3 the packed part   then the fields that are in it
--   ->    {'ok'} | {'changed'}: it is another record by now                   event: none
local id, finished_ms, part = unpack(ARGV, 1, 3)
local current, packed = get(id, 'finished_ms', 'packed')
if current ~= finished_ms then return {'changed'} end
if packed then return {'ok'} end
for i = 4, #ARGV do redis.call('HDEL', key('job', id), ARGV[i]) end
redis.call('SET', key('packed', id), part)
redis.call('DEL', key('metrics', id), key('events', id))
-- a hash that was large stays in its large form, unless it is written anew
local rest = redis.call('HGETALL', key('job', id))
redis.call('DEL', key('job', id))
redis.call('HSET', key('job', id), 'packed', 1)
set_fields(key('job', id), rest, 1)
return {'ok'}
