-- Create a job and queue it; under an idempotency key only once.
--   KEYS  1 prefix
--   ARGV  1 job id   2 owner   3 the queue's name   4 the owner's idempotency key or ''   5 fingerprint of what is asked for
--         6 unfinished jobs the owner may have for one more, or ''   then field, value, ... of the job's hash
--   ->    {'ok', the job as get.lua shows it}, also for a repetition: the id is the request's; another job's where the key
--         has made that | {'key_reused', job id} | {'job_gone', job id} | {'quota'}   event: queued
local id, owner, queue, idempotency_key, fingerprint, quota = unpack(ARGV, 1, 6)
-- how long a key is known, ms
local KEY_KEPT_MS = 86400000
if idempotency_key ~= '' then
  local known = redis.call('GET', key('idempotency', owner, idempotency_key))
  if known then
    local made, of = string.match(known, '^(%S+) (%S+)$')
    if of ~= fingerprint then return {'key_reused', made} end
    if redis.call('EXISTS', key('job', made)) == 0 then return {'job_gone', made} end
    return {'ok', show(made, live_machines())}
  end
end
if redis.call('EXISTS', key('job', id)) == 0 then
  if is_at_quota(owner, quota) then return {'quota'} end
  local now = now_ms()
  redis.call('HSET', key('job', id), 'id', id, 'owner', owner, 'status', 'queued', 'queue', queue, 'created_ms', integer(now),
    'spent', 0, 'token', 0, 'requested', '', unpack(ARGV, 7))
  add_to_indexes(id, 'queued')
  if idempotency_key ~= '' then
    redis.call('SET', key('idempotency', owner, idempotency_key), id .. ' ' .. fingerprint, 'PX', KEY_KEPT_MS)
  end
  enqueue(id, now)
  note(id, 'queued', now)
end
return {'ok', show(id, live_machines())}
