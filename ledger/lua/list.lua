-- Read a page of jobs, newest first.
--   KEYS  1 prefix
--   ARGV  1 status, or '' for all   2 id to start after, or ''   3 how many   4 whose, or '' for everybody's
--   ->    {'ok', id to go on after where the search was broken off, or '', a job as `show` gives it, ...}  event: none
local status, after, count, owner = unpack(ARGV)
-- ids that are looked at for one owner's jobs in one call, in parts
local MOST_SEEN, PART = 10000, 500
local index = status == '' and key('jobs') or key('jobs_by_status', status)
local live = live_machines()
local page, wanted, seen = {'ok', ''}, tonumber(count) + 2, 0
local part = owner == '' and tonumber(count) or PART
repeat
  local from = after == '' and '+' or '(' .. after
  local ids = redis.call('ZRANGE', index, from, '-', 'BYLEX', 'REV', 'LIMIT', 0, part)
  for _, id in ipairs(ids) do
    if #page < wanted and is_there(id, owner) then page[#page + 1] = show(id, live) end
  end
  seen, after = seen + #ids, ids[#ids]
until #page >= wanted or #ids < part or seen >= MOST_SEEN
if #page < wanted and seen >= MOST_SEEN then page[2] = after end
return page
