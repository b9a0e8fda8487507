-- Read who is there: every worker that has not left, also one that fell silent.
--   KEYS  1 prefix
--   ARGV  none
--   ->    {'ok', each as `show_worker` gives it}                                 event: none
local found = {'ok'}
for _, worker in ipairs(redis.call('ZRANGE', key('workers'), 0, -1)) do found[#found + 1] = show_worker(worker) end
return found
