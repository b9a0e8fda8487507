-- How many jobs of each device class wait, and how many bells ring for them.
--   KEYS  1 prefix   then the bell list of each class
--   ARGV  the classes, in the same order
--   ->    {'ok', class, waiting, bells, ...}                                  event: none
local waiting = {}
for _, name in ipairs(redis.call('SMEMBERS', key('queues'))) do
  local class = string.match(name, '^([^:]*):')
  waiting[class] = (waiting[class] or 0) + redis.call('ZCARD', key('queue', name))
end
local answer = {'ok'}
for i, class in ipairs(ARGV) do
  answer[#answer + 1] = class
  answer[#answer + 1] = waiting[class] or 0
  answer[#answer + 1] = redis.call('LLEN', KEYS[i + 1])
end
return answer
