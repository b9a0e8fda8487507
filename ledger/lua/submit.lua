-- Create a job and queue it.
--   KEYS  1 prefix
--   ARGV  1 job id   2 the queue's name   then field, value, ... of the job's hash
--   ->    {'ok', the job as get.lua shows it}, also for a repetition: the id is the request's     event: queued
local id, queue = unpack(ARGV, 1, 2)
if redis.call('EXISTS', key('job', id)) == 0 then
  local now = now_ms()
  redis.call('HSET', key('job', id), 'id', id, 'status', 'queued', 'queue', queue, 'created_ms', integer(now), 'spent', 0,
    'token', 0, 'requested', '', unpack(ARGV, 3))
  redis.call('ZADD', key('jobs'), 0, id)
  redis.call('ZADD', key('jobs_by_status', 'queued'), 0, id)
  enqueue(id, now)
  note(id, 'queued', now)
end
return {'ok', show(id, live_machines())}
