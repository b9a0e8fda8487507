-- Take chores that are due: whoever takes one has it to himself for a while.
--   KEYS  1 prefix
--   ARGV  1 kind of chores   2 taker (one per call)   3 how many at most   4 how long they are his, ms
--   ->    {'ok', {member, failures so far, id of the request that made its job or '', how often it was sent}, ...}
--         event: none
local kind, taker, most, kept_ms = unpack(ARGV)
local taken = {'ok'}
local due = redis.call('ZRANGE', key('chores', kind), '-inf', integer(now_ms()), 'BYSCORE', 'LIMIT', 0, 1000)
for _, member in ipairs(due) do
  local mark = key('taken', kind, member)
  if #taken <= tonumber(most)
      and (redis.call('SET', mark, taker, 'NX', 'PX', kept_ms) or redis.call('GET', mark) == taker) then
    local id, message = string.match(member, '^(%S+) ?(.*)$')
    local delivery = redis.call('HGET', key('deliveries', id), message)
    taken[#taken + 1] = {member, tonumber(redis.call('HGET', key('failures', kind), member) or 0),
      get(id, 'request_id') or '', tonumber(delivery and string.match(delivery, '^%S+ (%d+)') or 0)}
  end
end
return taken
