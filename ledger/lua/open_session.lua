-- Open a browser's session.
--   KEYS  1 prefix
--   ARGV  1 the session's digest   2 digest of the key it is opened with   3 kept_ms
--   ->    {'ok', when it or its key ends, ms, how long it lasts, ms}, also for a repetition      event: none
local session, digest, kept_ms = unpack(ARGV)
local expires_ms = redis.call('HGET', key('session', session), 'expires_ms')
if not expires_ms then
  expires_ms = integer(now_ms() + kept_ms)
  redis.call('HSET', key('session', session), 'key', digest, 'expires_ms', expires_ms)
  redis.call('PEXPIREAT', key('session', session), expires_ms)
end
local key_expires_ms = redis.call('HGET', key('api_key', digest), 'expires_ms')
local ends_ms = math.min(expires_ms, key_expires_ms or expires_ms)
return {'ok', integer(ends_ms), integer(ends_ms - expires_ms + kept_ms)}
