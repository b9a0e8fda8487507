-- End the runs whose lease has run out. Their devices stay taken until their machine says that the engines are gone.
--   KEYS  1 prefix
--   ARGV  1 detail   2 error (JSON)   3 how many at most
--   ->    {'ok', job id, status, ...}                                         event: the new status
local detail, error, most = unpack(ARGV)
local now = now_ms()
local ended = {'ok'}
for _, id in ipairs(redis.call('ZRANGE', key('leases'), '-inf', integer(now), 'BYSCORE', 'LIMIT', 0, most)) do
  ended[#ended + 1] = id
  ended[#ended + 1] = lose_run(id, detail, error, now)
end
return ended
