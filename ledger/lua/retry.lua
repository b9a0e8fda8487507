-- Queue a job again that failed or was cancelled, with as many attempts as it had at first.
--   KEYS  1 prefix
--   ARGV  1 request id (one per call)   2 job id   3 checkpoint | start: where to go on from
--         4 whose it must be, or '' for anybody's   5 unfinished jobs its owner may have for one more, or ''
--         6 the packed part that was unpacked, or ''   then field, value, ... that were in it
--   ->    {'ok', the job as get.lua shows it}, also for a repetition | {'no_such_job'} | {'not_allowed', status, requested}
--         | {'no_checkpoint'} | {'quota', the owner} | {'packed', packed part}: give it unpacked      event: queued
local request, id, from, seen_by, quota, unpacked = unpack(ARGV, 1, 6)
if not is_there(id, seen_by) then return {'no_such_job'} end
if was_executed(request) then return {'ok', show(id, live_machines())} end
local status, requested, packed, checkpoints, owner = get(id, 'status', 'requested', 'packed', 'checkpoints', 'owner')
if TRANSITIONS['retry'][status] then
  if is_at_quota(owner, quota) then return {'quota', owner} end
  if packed then
    local part = redis.call('GET', key('packed', id))
    if part ~= unpacked then return {'packed', part} end
    for i = 7, #ARGV, 2 do
      if ARGV[i] == 'checkpoints' then checkpoints = ARGV[i + 1] end
    end
  end
  if from == 'checkpoint' and not checkpoints then return {'no_checkpoint'} end
  if packed then
    set_fields(key('job', id), ARGV, 7)
    redis.call('HDEL', key('job', id), 'packed')
    redis.call('DEL', key('packed', id), key('recent', id))
  end
  if from == 'start' then forget_results(id) end
  redis.call('HSET', key('job', id), 'attempts_allowed', integer(get(id, 'spent') + get(id, 'max_attempts')))
  redis.call('HDEL', key('job', id), 'finished_ms')
  redis.call('ZREM', key('finished'), id)
  drop_chore('archive', id)
  drop_chore('retire', id)
  move_by_hand(id, 'retry', now_ms())
elseif not FULFILLED['retry'][status] or requested == 'cancel' then
  return {'not_allowed', status, requested}
end
mark_executed(request)
return {'ok', show(id, live_machines())}
