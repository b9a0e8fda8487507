-- Have a worker stop: it gets no more jobs, puts back those it runs, and exits; started again it is as before.
--   KEYS  1 prefix
--   ARGV  1 worker
--   ->    {'ok', the worker as workers.lua shows it} | {'no_such_worker'}     event: none
local worker = ARGV[1]
if redis.call('EXISTS', key('worker', worker)) == 0 then return {'no_such_worker'} end
redis.call('HSET', key('worker', worker), 'draining', 1)
return {'ok', show_worker(worker)}
