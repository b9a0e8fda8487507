-- Read all there is about a job.
--   KEYS  1 prefix
--   ARGV  1 job id
--   ->    {'ok', the job as `show` gives it, its events, the points of its series} | {'no_such_job'}     event: none
local id = ARGV[1]
if redis.call('EXISTS', key('job', id)) == 0 then return {'no_such_job'} end
return {'ok', show(id, live_machines()), redis.call('XRANGE', key('events', id), '-', '+'), redis.call('XRANGE', key('metrics', id), '-', '+')}
