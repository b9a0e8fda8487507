-- A worker is alive.
--   KEYS  1 prefix
--   ARGV  1 worker
--   ->    {'ok'}                                                              event: none
redis.call('ZADD', key('workers'), integer(now_ms()), ARGV[1])
return {'ok'}
