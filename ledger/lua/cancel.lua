-- Cancel a job: at once while it waits, by a wish its runner fulfils while it runs.
--   KEYS  1 prefix
--   ARGV  1 job id
--   ->    {'ok', the job as get.lua shows it}, also for a repetition | {'no_such_job'} | {'not_allowed', status}
--         event: cancelled or cancel_requested
local id = ARGV[1]
local status, requested = get(id, 'status', 'requested')
if not status then return {'no_such_job'} end
if status == 'cancelled' or requested == 'cancel' then return {'ok', show(id, live_classes())} end
if not TRANSITIONS['cancel'][status] then return {'not_allowed', status} end
local now = now_ms()
if status == 'running' then
  redis.call('HSET', key('job', id), 'requested', 'cancel')
  note(id, 'cancel_requested', now)
else
  dequeue(id)
  local to = move(id, 'cancel')
  redis.call('HSET', key('job', id), 'finished_ms', integer(now))
  note(id, to, now)
end
return {'ok', show(id, live_classes())}
