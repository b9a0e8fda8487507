-- A chore is done, or is to be tried again later; nothing happens where somebody else has it by now.
--   KEYS  1 prefix
--   ARGV  1 kind of chores   2 member   3 taker   4 ms until it is tried again, or '' where it is done
--         5 done | failed | given_up: what is counted
--   ->    {'ok'}                                                              event: none
local kind, member, taker, again_ms, result = unpack(ARGV)
if redis.call('GET', key('taken', kind, member)) ~= taker then return {'ok'} end
count('chore:' .. kind .. ':' .. result)
if again_ms == '' then
  drop_chore(kind, member)
else
  redis.call('DEL', key('taken', kind, member))
  redis.call('ZADD', key('chores', kind), 'XX', integer(now_ms() + again_ms), member)
  redis.call('HINCRBY', key('failures', kind), member, 1)
end
return {'ok'}
