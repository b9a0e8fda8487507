-- A worker is alive.
--   KEYS  1 prefix
--   ARGV  1 worker
--   ->    {'ok'} | {'not_enrolled'}                                           event: none
if redis.call('EXISTS', key('worker', ARGV[1])) == 0 then return {'not_enrolled'} end
redis.call('ZADD', key('workers'), integer(now_ms()), ARGV[1])
return {'ok'}
