-- A worker has stopped in order, and its runners are gone; nothing happens where another one has taken its name.
--   KEYS  1 prefix
--   ARGV  1 worker   2 incarnation   3 detail and 4 error (JSON) of runs that were not settled
--   ->    {'ok'}                                                              event: their new status
local worker, incarnation, detail, error = unpack(ARGV)
if redis.call('HGET', key('worker', worker), 'incarnation') == incarnation then
  redis.call('ZREM', key('workers'), worker)
  redis.call('DEL', key('worker', worker))
  clear_slots(worker, function() return true end, detail, error, now_ms())
end
return {'ok'}
