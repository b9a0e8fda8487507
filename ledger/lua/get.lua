-- Read a job, with its place in the queue.
--   KEYS  1 prefix
--   ARGV  1 job id
--   ->    {'ok', {hash, jobs ahead, devices of the largest worker}} | {'no_such_job'}          event: none
local id = ARGV[1]
if redis.call('EXISTS', key('job', id)) == 0 then return {'no_such_job'} end
return {'ok', show(id, live_classes())}
