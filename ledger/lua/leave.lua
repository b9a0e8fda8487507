-- A worker has stopped in order.
--   KEYS  1 prefix
--   ARGV  1 worker
--   ->    {'ok'}                                                              event: none
redis.call('ZREM', key('workers'), ARGV[1])
redis.call('DEL', key('worker', ARGV[1]))
return {'ok'}
