-- Delete a job that has ended: it is gone at once, its files as soon as a keeper does the chore.
--   KEYS  1 prefix
--   ARGV  1 request id (one per call)   2 job id   3 whose it must be, or '' for anybody's
--   ->    {'ok'} also for a repetition | {'no_such_job'} | {'not_allowed', status, requested}     event: none
local request, id, owner = unpack(ARGV)
if was_executed(request) then return {'ok'} end
local status, requested = get(id, 'status', 'requested')
if not is_there(id, owner) then return {'no_such_job'} end
if not redis.call('ZSCORE', key('finished'), id) then return {'not_allowed', status, requested} end
-- whoever is writing its record at this moment would leave that behind
local archiving_ms = math.max(0, redis.call('PTTL', key('taken', 'archive', id)))
forget_job(id, status)
add_chore('retire', id, now_ms() + archiving_ms)
mark_executed(request)
return {'ok'}
