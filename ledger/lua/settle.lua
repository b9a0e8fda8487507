-- End a run, by its runner, once the engine's processes are gone.
--   KEYS  1 prefix
--   ARGV  1 job id   2 token   3 outcome: succeeded | failed | cancelled | put_back | lost   4 detail
--         5 error (JSON) or ''
--   ->    {'ok', status} also for a repetition | {'lost_lease'}               event: the new status
local id, token, outcome, detail, error = unpack(ARGV)
local status, settled, worker, device = get(id, 'status', 'settled', 'worker', 'device')
if settled == token then return {'ok', status} end
if not holds_lease(id, token) then return {'lost_lease'} end
local now = now_ms()
redis.call('HSET', key('job', id), 'settled', token)
free_devices(worker, device, id, token)
if outcome == 'lost' then return {'ok', lose_run(id, detail, error, now)} end
-- a wish that came too late for the engine to see is fulfilled all the same
if outcome == 'put_back' and get(id, 'requested') == 'cancel' then outcome = 'cancelled' end
local event = ({succeeded = 'succeed', failed = 'fail', cancelled = 'cancel', put_back = 'put_back'})[outcome]
return {'ok', end_run(id, event, outcome, detail, error, now)}
