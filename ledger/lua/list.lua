-- Read a page of jobs, newest first.
--   KEYS  1 prefix
--   ARGV  1 id to start after, or ''   2 how many at most   then what is looked for, as `wanted_from` reads it
--   ->    {'ok', id to go on after or '', a job as `show` gives it, ...}     event: none
local after, count = ARGV[1], tonumber(ARGV[2])
local ids, following = find(wanted_from(3), after, count)
local live = live_machines()
local page = {'ok', following}
for _, id in ipairs(ids) do page[#page + 1] = show(id, live) end
return page
