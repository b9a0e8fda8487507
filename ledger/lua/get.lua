-- Read a job, with its place in the queue.
--   KEYS  1 prefix
--   ARGV  1 job id   2 whose it must be, or '' for anybody's   3 version that is known, or ''
--   ->    {'ok', the job as `show` gives it} | {'same'}: it has the known version; while it waits that says nothing
--         | {'no_such_job'}                                                   event: none
local id, owner, known = unpack(ARGV)
if not is_there(id, owner) then return {'no_such_job'} end
local status, version = get(id, 'status', 'version')
if status == 'queued' then return {'ok', show(id, live_machines())} end
if version == known then return {'same'} end
return {'ok', show(id, {})}
