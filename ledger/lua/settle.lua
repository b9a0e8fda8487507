-- End a run, by its runner, once the engine's processes are gone.
--   KEYS  1 prefix
--   ARGV  1 job id   2 token   3 ending: succeeded | failed | stopped (by request) | lost   4 detail
--         5 error (JSON) or ''
--   ->    {'ok', status} also for a repetition | {'lost_lease'}               event: the new status
local id, token, ending, detail, error = unpack(ARGV)
local status, settled, worker, slots = get(id, 'status', 'settled', 'worker', 'device')
if settled == token then return {'ok', status} end
if not holds_lease(id, token) then return {'lost_lease'} end
local now = now_ms()
redis.call('HSET', key('job', id), 'settled', token)
free_slots(worker, slots, id, token)
if ending == 'lost' then return {'ok', lose_run(id, detail, error, now)} end
if ending == 'stopped' then return {'ok', stop_run(id, detail, error, now)} end
return {'ok', end_run(id, ending == 'succeeded' and 'succeed' or 'fail', ending, detail, error, now)}
