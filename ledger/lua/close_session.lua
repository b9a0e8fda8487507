-- Close a browser's session.
--   KEYS  1 prefix
--   ARGV  1 the session's digest
--   ->    {'ok'}, also where there is none                                    event: none
redis.call('DEL', key('session', ARGV[1]))
return {'ok'}
