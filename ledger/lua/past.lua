-- Read what is known of a job's runs and what has happened to it.
--   KEYS  1 prefix
--   ARGV  1 job id   2 id of the event to read after, or ''   3 how many events at most
--   ->    {'ok', its hash as a flat list, the packed part or '', the latest events and points, packed, or '', events}
--         | {'no_such_job'}                                                   event: none
local id, after, most = unpack(ARGV)
if redis.call('EXISTS', key('job', id)) == 0 then return {'no_such_job'} end
return {'ok', redis.call('HGETALL', key('job', id)), redis.call('GET', key('packed', id)) or '',
  redis.call('GET', key('recent', id)) or '',
  redis.call('XRANGE', key('events', id), after == '' and '-' or '(' .. after, '+', 'COUNT', most)}
