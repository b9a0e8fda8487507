-- Open a browser's session.
--   KEYS  1 prefix
--   ARGV  1 the session's digest   2 digest of the key it is opened with   3 kept_ms
--   ->    {'ok', when it ends, ms}, also for a repetition                     event: none
local session, digest, kept_ms = unpack(ARGV)
local expires_ms = redis.call('HGET', key('session', session), 'expires_ms')
if not expires_ms then
  expires_ms = integer(now_ms() + kept_ms)
  redis.call('HSET', key('session', session), 'key', digest, 'expires_ms', expires_ms)
  redis.call('PEXPIREAT', key('session', session), expires_ms)
end
return {'ok', expires_ms}
