-- A chore is done, or is to be tried again later; nothing happens where somebody else has it by now.
--   KEYS  1 prefix
--   ARGV  1 kind of chores   2 member   3 taker   4 ms until it is tried again, or '' where it is done
--         5 done | failed | given_up: what is counted
--         of a webhook that was sent:   6 status it was answered with, or '-'   7 error, or ''
--         8 1 where the receiver is gone: the job has nothing more to tell, or 0
--   ->    {'ok'}                                                              event: none
local kind, member, taker, again_ms, result, answered, error, is_gone = unpack(ARGV)
local STATES = {done = 'delivered', failed = 'pending', given_up = 'given_up'}
local now = now_ms()
-- nobody is writing a deleted job's record any more: its files need not wait
if kind == 'archive' and redis.call('ZADD', key('chores', 'retire'), 'XX', 'LT', 'CH', integer(now), member) == 1 then
  wake_keeper()
end
if redis.call('GET', key('taken', kind, member)) ~= taker then return {'ok'} end
count('chore:' .. kind .. ':' .. result)
if again_ms == '' then
  drop_chore(kind, member)
else
  redis.call('DEL', key('taken', kind, member))
  redis.call('ZADD', key('chores', kind), 'XX', integer(now + again_ms), member)
  redis.call('HINCRBY', key('failures', kind), member, 1)
end
if not answered then return {'ok'} end

local id, message = string.match(member, '^(%S+) (.+)$')
local deliveries = key('deliveries', id)
local known = redis.call('HGET', deliveries, message)
if not known then return {'ok'} end -- its job was deleted meanwhile
local attempts, last_error = string.match(known, '^%S+ (%d+) %S+ %S+ (.*)$')
redis.call('HSET', deliveries, message, table.concat({STATES[result], integer(attempts + 1), integer(now), answered,
  error == '' and last_error or error}, ' '))
if is_gone == '1' then
  give_up_all(id)
  redis.call('HSET', deliveries, 'disabled', integer(now) .. ' ' .. error)
end
return {'ok'}
