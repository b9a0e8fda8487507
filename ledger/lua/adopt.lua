-- Make an artifact store the one that belongs to this ledger, where it has none.
--   KEYS  1 prefix
--   ARGV  1 id of the store
--   ->    {'ok'} | {'other_store', id of the store that the ledger knows}     event: none
local store = ARGV[1]
redis.call('SETNX', key('store'), store)
local known_store = redis.call('GET', key('store'))
if known_store ~= store then return {'other_store', known_store} end
return {'ok'}
