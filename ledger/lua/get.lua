-- Read a job, with its place in the queue.
--   KEYS  1 prefix
--   ARGV  1 job id
--   ->    {'ok', the job as `show` gives it} | {'no_such_job'}                event: none
local id = ARGV[1]
if redis.call('EXISTS', key('job', id)) == 0 then return {'no_such_job'} end
return {'ok', show(id, live_machines())}
