-- List the API keys.
--   KEYS  1 prefix
--   ->    {'ok', a key's hash as a flat list, ...}                            event: none
local listed = {'ok'}
for _, digest in ipairs(redis.call('HVALS', key('api_keys'))) do
  listed[#listed + 1] = redis.call('HGETALL', key('api_key', digest))
end
return listed
