-- Create a job and queue it.
--   KEYS  1 prefix
--   ARGV  1 job id   2 spec (JSON)   3 owner   4 device class   5 world size   6 priority   7 max attempts
--   ->    {'ok', the job as get.lua shows it}, also for a repetition: the id is the request's     event: queued
local id, spec, owner, device_class, world_size, priority, max_attempts = unpack(ARGV)
if redis.call('EXISTS', key('job', id)) == 1 then return {'ok', show(id, live_classes())} end
local now = now_ms()
redis.call('HSET', key('job', id), 'id', id, 'status', 'queued', 'spec', spec, 'owner', owner,
  'device_class', device_class, 'world_size', world_size, 'priority', priority, 'max_attempts', max_attempts,
  'created_ms', integer(now), 'spent', 0, 'token', 0, 'requested', '')
redis.call('ZADD', key('jobs'), 0, id)
redis.call('ZADD', key('jobs_by_status', 'queued'), 0, id)
enqueue(id)
note(id, 'queued', now)
return {'ok', show(id, live_classes())}
