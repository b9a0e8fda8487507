-- Record what an engine reported; extends the lease too.
--   KEYS  1 prefix
--   ARGV  1 job id   2 token   3 sequence number of the report within its run, from 1   4 lease_ms
--         5 point of the series (JSON) or ''   6 notice (JSON) or ''   then field, value, ... of the job's hash
--   ->    {'ok', requested or ''} also for a repetition | {'lost_lease'}      event: notice, if there is one
local id, token, sequence, lease_ms, point, notice = unpack(ARGV, 1, 6)
local METRICS_KEPT = 10000
if not holds_lease(id, token) then return {'lost_lease'} end
local requested, recorded = get(id, 'requested', 'sequence')
extend_lease(id, lease_ms)
if tonumber(sequence) <= tonumber(recorded) then return {'ok', requested} end
redis.call('HSET', key('job', id), 'sequence', sequence, unpack(ARGV, 7))
local now = now_ms()
if point ~= '' then
  redis.call('XADD', key('metrics', id), 'MAXLEN', '~', METRICS_KEPT, token .. '-' .. sequence, 'point', point, 'at_ms', integer(now))
end
if notice ~= '' then note(id, 'notice', now, 'token', token, 'notice', notice) else changed(id) end
return {'ok', requested}
