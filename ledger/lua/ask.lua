-- Pause, resume or cancel a job: at once while it does not run, by a wish that its runner fulfils while it does.
--   KEYS  1 prefix
--   ARGV  1 request id (one per call)   2 job id   3 pause | resume | cancel   4 whose it must be, or '' for anybody's
--   ->    {'ok', the job as get.lua shows it}, also for a repetition | {'no_such_job'}
--         | {'not_allowed', status, requested}                                event: the new status, or what was asked
local request, id, event, owner = unpack(ARGV)
local status, requested = get(id, 'status', 'requested')
if not is_there(id, owner) then return {'no_such_job'} end
if was_executed(request) then return {'ok', show(id, live_machines())} end
local now = now_ms()
if status == 'running' then
  -- what is being cancelled is cancelled
  if requested == 'cancel' and event ~= 'cancel' then return {'not_allowed', status, requested} end
  local wish = event == 'resume' and '' or event
  if wish ~= requested then
    redis.call('HSET', key('job', id), 'requested', wish)
    note(id, event .. '_requested', now)
  end
elseif TRANSITIONS[event][status] then
  move_by_hand(id, event, now)
elseif not FULFILLED[event][status] then
  return {'not_allowed', status, ''}
end
mark_executed(request)
return {'ok', show(id, live_machines())}
