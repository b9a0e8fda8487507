-- Let an API key in no more; or all of them, and everybody from then on. Without its last key a ledger stays guarded: a
-- key that is taken away opens no door.
--   KEYS  1 prefix
--   ARGV  1 request id (one per call)   2 key id, or '' for all
--   ->    {'ok'}, also for a repetition | {'no_such_key'}                     audit: revoke_key
local request, wanted = unpack(ARGV)
if was_executed(request) then return {'ok'} end
local keys = redis.call('HGETALL', key('api_keys'))
local found = wanted == ''
for i = 1, #keys, 2 do
  if wanted == '' or keys[i] == wanted then
    found = true
    redis.call('DEL', key('api_key', keys[i + 1]))
    redis.call('HDEL', key('api_keys'), keys[i])
    audit(now_ms(), 'owner', COMMAND_LINE, 'action', 'revoke_key', 'subject', keys[i])
  end
end
if not found then return {'no_such_key'} end
if wanted == '' then redis.call('DEL', key('guarded')) end
mark_executed(request)
return {'ok'}
