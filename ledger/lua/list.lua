-- Read a page of jobs, newest first.
--   KEYS  1 prefix
--   ARGV  1 status, or '' for all   2 id to start after, or ''   3 how many
--   ->    {'ok', a job as `show` gives it, ...}                               event: none
local status, after, count = unpack(ARGV)
local index = status == '' and key('jobs') or key('jobs_by_status', status)
local from = after == '' and '+' or '(' .. after
local live = live_machines()
local page = {'ok'}
for _, id in ipairs(redis.call('ZRANGE', index, from, '-', 'BYLEX', 'REV', 'LIMIT', 0, count)) do
  page[#page + 1] = show(id, live)
end
return page
