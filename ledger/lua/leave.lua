-- A worker has stopped in order; nothing happens where another one has taken its name.
--   KEYS  1 prefix
--   ARGV  1 worker   2 incarnation
--   ->    {'ok'}                                                              event: none
local worker, incarnation = unpack(ARGV)
if redis.call('HGET', key('worker', worker), 'incarnation') == incarnation then
  redis.call('ZREM', key('workers'), worker)
  redis.call('DEL', key('worker', worker))
end
return {'ok'}
