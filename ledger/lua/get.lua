-- Read a job, with its place in the queue.
--   KEYS  1 prefix
--   ARGV  1 job id   2 whose it must be, or '' for anybody's
--   ->    {'ok', the job as `show` gives it} | {'no_such_job'}                event: none
local id, owner = unpack(ARGV)
if not is_there(id, owner) then return {'no_such_job'} end
return {'ok', show(id, live_machines())}
