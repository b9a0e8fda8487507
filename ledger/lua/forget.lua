-- Forget a finished job.
--   KEYS  1 prefix
--   ARGV  1 job id
--   ->    {'ok'} also for one that is not known | {'not_allowed', status}     event: none
local id = ARGV[1]
local status = get(id, 'status')
if not status then return {'ok'} end
if not redis.call('ZSCORE', key('finished'), id) then return {'not_allowed', status} end
forget_job(id, status)
return {'ok'}
