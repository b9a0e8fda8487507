-- Finished jobs that have been kept long enough become chores.
--   KEYS  1 prefix
--   ARGV  1 how long they are kept, ms   2 how many at most
--   ->    {'ok'}                                                              event: none
local kept_ms, most = unpack(ARGV)
local now = now_ms()
for _, id in ipairs(redis.call('ZRANGE', key('finished'), '-inf', integer(now - kept_ms), 'BYSCORE', 'LIMIT', 0, most)) do
  if not redis.call('ZSCORE', key('chores', 'retire'), id) then add_chore('retire', id, now) end
end
return {'ok'}
