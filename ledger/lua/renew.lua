-- Extend the lease of a running job, and learn what was asked of it.
--   KEYS  1 prefix
--   ARGV  1 job id   2 token   3 lease_ms
--   ->    {'ok', requested or ''} | {'lost_lease'}                            event: none
local id, token, lease_ms = unpack(ARGV)
if not holds_lease(id, token) then return {'lost_lease'} end
extend_lease(id, lease_ms)
return {'ok', (get(id, 'requested'))}
