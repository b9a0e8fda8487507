-- An engine is about to be started for a run: from now on its end spends an attempt. Extends the lease.
--   KEYS  1 prefix
--   ARGV  1 job id   2 token   3 lease_ms
--   ->    {'ok', requested or ''} | {'lost_lease'}                            event: none
local id, token, lease_ms = unpack(ARGV)
if not holds_lease(id, token) then return {'lost_lease'} end
redis.call('HSET', key('job', id), 'run:' .. token .. ':engine', 1)
extend_lease(id, lease_ms)
return {'ok', (get(id, 'requested'))}
