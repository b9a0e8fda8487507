-- How many jobs of each device class wait, how many bells ring for them, and how many slots could be for them.
--   KEYS  1 prefix   then the bell list of each class
--   ARGV  the classes, in the same order
--   ->    {'ok', class, waiting, bells, slots, ...}                           event: none
local waiting = {}
for _, name in ipairs(redis.call('SMEMBERS', key('queues'))) do
  local class = string.match(name, '^([^:]*):')
  waiting[class] = (waiting[class] or 0) + redis.call('ZCARD', key('queue', name))
end
local slots = {}
for _, said in ipairs(live_machines()) do
  for class in pairs(said.classes) do slots[class] = (slots[class] or 0) + #said.slots end
end
local answer = {'ok'}
for i, class in ipairs(ARGV) do
  answer[#answer + 1] = class
  answer[#answer + 1] = waiting[class] or 0
  answer[#answer + 1] = redis.call('LLEN', KEYS[i + 1])
  answer[#answer + 1] = slots[class] or 0
end
return answer
