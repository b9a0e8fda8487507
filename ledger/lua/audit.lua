-- Write down that a request was answered.
--   KEYS  1 prefix
--   ARGV  1 request id (one per call)   2 owner   3 key id or ''   4 action   5 job, worker, query or ''
--         6 HTTP status   7 the request's own id or ''
--   ->    {'ok'}, also for a repetition                                       audit: what was given

-- only the process that answered repeats this, at once; at thousands of requests a second an hour would fill Redis
local REPEATED_MS = 10000

local request, owner, key_id, action, subject, status, request_id = unpack(ARGV)
if was_executed(request) then return {'ok'} end
audit(now_ms(), 'owner', owner, 'key_id', key_id, 'action', action, 'subject', subject, 'status', status,
  'request_id', request_id)
mark_executed(request, REPEATED_MS)
return {'ok'}
