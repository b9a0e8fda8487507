-- Let an API key in from now on.
--   KEYS  1 prefix
--   ARGV  1 key id   2 its digest   3 owner   4 scopes with commas   5 name   6 expires_in_ms or ''   7 rate limit or ''
--         8 quota or ''
--   ->    {'ok', the key's hash as a flat list}, also for a repetition        audit: create_key
local id, digest, owner, scopes, name, expires_in_ms, rate_limit, quota = unpack(ARGV)
if redis.call('EXISTS', key('api_key', digest)) == 0 then
  local now = now_ms()
  redis.call('HSET', key('api_key', digest), 'id', id, 'owner', owner, 'scopes', scopes, 'name', name,
    'created_ms', integer(now))
  if expires_in_ms ~= '' then redis.call('HSET', key('api_key', digest), 'expires_ms', integer(now + expires_in_ms)) end
  if rate_limit ~= '' then redis.call('HSET', key('api_key', digest), 'rate_limit', rate_limit) end
  if quota ~= '' then redis.call('HSET', key('api_key', digest), 'quota', quota) end
  redis.call('HSET', key('api_keys'), id, digest)
  redis.call('SET', key('guarded'), 1)
  audit(now, 'owner', COMMAND_LINE, 'action', 'create_key', 'subject', id)
end
return {'ok', redis.call('HGETALL', key('api_key', digest))}
