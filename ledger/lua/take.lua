-- Take chores that are due: whoever takes one has it to himself for a while.
--   KEYS  1 prefix
--   ARGV  1 kind of chores   2 taker (one per call)   3 how many at most   4 how long they are his, ms
--         5 how many of one owner may be at hand at once, or ''   then owners, once for each chore that is at hand already
--   ->    {'ok', {member, failures so far, id of the request that made its job or '', how often it was sent,
--         its job's owner or ''}, ...}                                        event: none
local kind, taker, most, kept_ms, per_owner = unpack(ARGV, 1, 5)
local LOOKED_AT = 1000
local taken, at_hand = {'ok'}, {}
for i = 6, #ARGV do at_hand[ARGV[i]] = (at_hand[ARGV[i]] or 0) + 1 end
local now = integer(now_ms())
local due = redis.call('ZRANGE', key('chores', kind), '-inf', now, 'BYSCORE', 'LIMIT', 0, LOOKED_AT)
for _, member in ipairs(due) do
  if #taken > tonumber(most) then break end
  local id, message = string.match(member, '^(%S+) ?(.*)$')
  local owner, request_id = get(id, 'owner', 'request_id')
  local mark = key('taken', kind, member)
  owner = owner or ''
  if per_owner ~= '' and (at_hand[owner] or 0) >= tonumber(per_owner) then
    -- an owner with more than is looked at steps back behind the others
    if #due == LOOKED_AT then redis.call('ZADD', key('chores', kind), now, member) end
  elseif redis.call('SET', mark, taker, 'NX', 'PX', kept_ms) or redis.call('GET', mark) == taker then
    at_hand[owner] = (at_hand[owner] or 0) + 1
    local delivery = redis.call('HGET', key('deliveries', id), message)
    taken[#taken + 1] = {member, tonumber(redis.call('HGET', key('failures', kind), member) or 0), request_id or '',
      tonumber(delivery and string.match(delivery, '^%S+ (%d+)') or 0), owner}
  end
end
return taken
