-- Look up who is at the door. A session is as good as the key it was opened with.
--   KEYS  1 prefix
--   ARGV  1 digest of the key that is shown, or ''   2 else digest of a session, or ''
--   ->    {'known', the key's digest, its hash as a flat list} | {'expired', digest} | {'unknown', digest}: a key from
--         elsewhere, or '' | {'open', digest}: so it is, and the ledger has had no keys      event: none
local digest, session = unpack(ARGV)
if digest == '' and session ~= '' then digest = redis.call('HGET', key('session', session), 'key') or '' end
if digest ~= '' and redis.call('EXISTS', key('api_key', digest)) == 1 then
  local expires_ms = redis.call('HGET', key('api_key', digest), 'expires_ms')
  if expires_ms and tonumber(expires_ms) <= now_ms() then return {'expired', digest} end
  return {'known', digest, redis.call('HGETALL', key('api_key', digest))}
end
return {redis.call('EXISTS', key('guarded')) == 1 and 'unknown' or 'open', digest}
