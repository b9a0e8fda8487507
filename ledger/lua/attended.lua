-- Whether a keeper looked at the leases a moment ago.
--   KEYS  1 prefix
--   ARGV  none
--   ->    {'ok', 1 or 0}                                                      event: none
local seen_ms = redis.call('HGET', key('attended'), 'seen_ms')
return {'ok', seen_ms and now_ms() - seen_ms <= UNATTENDED_MS and 1 or 0}
