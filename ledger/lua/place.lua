-- Say which place a job would have in the queue, if it were submitted now.
--   KEYS  1 prefix
--   ARGV  1 the queue's name   2 priority
--   ->    {'ok', why it would wait, as `waiting` counts it}                   event: none
local queue, priority = ARGV[1], tonumber(ARGV[2])
local score = integer((TOP_PRIORITY - priority) * PRIORITY_STEP + now_ms())
local ahead = redis.call('ZCOUNT', key('needing', without_owner(queue)), '-inf', score)
return {'ok', waiting('', queue, score, ahead, live_machines())}
