-- Whether a job was made under an idempotency key.
--   KEYS  1 prefix
--   ARGV  1 owner   2 the owner's key
--   ->    {'ok', 1 or 0}                                                      event: none
return {'ok', redis.call('EXISTS', key('idempotency', ARGV[1], ARGV[2]))}
