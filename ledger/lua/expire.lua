-- End the runs whose lease has run out, once the ledger has been attended for one full lease: nobody could renew while
-- the server was away or stood still, and it may have been so for all. The slots stay taken until their machine says
-- that the engines are gone.
--   KEYS  1 prefix
--   ARGV  1 detail   2 error (JSON)   3 how many at most   4 lease_ms
--   ->    {'ok', runs as `add_ended` gives them}                              event: the new status
local detail, error, most, lease_ms = unpack(ARGV)
local now = now_ms()
local seen_ms, since_ms = unpack(redis.call('HMGET', key('attended'), 'seen_ms', 'since_ms'))
if not seen_ms or now - seen_ms > UNATTENDED_MS then since_ms = integer(now) end
redis.call('HSET', key('attended'), 'seen_ms', integer(now), 'since_ms', since_ms)
local ended = {'ok'}
if now - since_ms < tonumber(lease_ms) then return ended end
for _, id in ipairs(redis.call('ZRANGE', key('leases'), '-inf', integer(now), 'BYSCORE', 'LIMIT', 0, most)) do
  count('lost:expired')
  add_ended(ended, id, lose_run(id, detail, error, now))
end
return ended
