-- Read the audit, newest first.
--   KEYS  1 prefix
--   ARGV  1 id to start after, or ''   2 how many
--   ->    {'ok', {id, {field, value, ...}}, ...}                              event: none
local after, count = unpack(ARGV)
local read = {'ok'}
for _, entry in ipairs(redis.call('XREVRANGE', key('audit'), after == '' and '+' or '(' .. after, '-', 'COUNT', count)) do
  read[#read + 1] = entry
end
return read
