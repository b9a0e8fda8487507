-- Forget a finished job.
--   KEYS  1 prefix
--   ARGV  1 job id
--   ->    {'ok'} also for one that is not known | {'not_allowed', status}     event: none
local id = ARGV[1]
local status = get(id, 'status')
if not status then return {'ok'} end
if not redis.call('ZSCORE', key('finished'), id) then return {'not_allowed', status} end
drop_chore('archive', id)
redis.call('DEL', key('job', id), key('packed', id), key('recent', id), key('metrics', id), key('events', id))
redis.call('ZREM', key('jobs'), id)
redis.call('ZREM', key('jobs_by_status', status), id)
redis.call('ZREM', key('finished'), id)
return {'ok'}
