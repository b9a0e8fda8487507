-- End the run that answered a bell, by the worker whose runner died on it; the engine died with its runner.
--   KEYS  1 prefix
--   ARGV  1 worker   2 bell   3 detail   4 error (JSON)
--   ->    {'ok', job id, status} | {'nothing_to_do'}                          event: the new status
local worker, bell, detail, error = unpack(ARGV)
local id = redis.call('HGET', key('bells'), worker .. ' ' .. bell)
if not id then return {'nothing_to_do'} end
local token, device = get(id, 'token', 'device')
free_device(worker, device, id, token)
return {'ok', id, lose_run(id, detail, error, now_ms())}
