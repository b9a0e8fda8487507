-- Read what has happened to a job, and its series, from a position on.
--   KEYS  1 prefix
--   ARGV  1 job id   2 id of an event and 3 id of a point: what comes after these   4 how many of each at most
--         5 whose it must be, or '' for anybody's
--   ->    {'ok', status, progress (JSON) or '', first, events, points, ''}; first is '0-0' where the job's first event is
--         still there, else the id of the first that is
--         | {'ok', status, progress, 'packed', {}, {}, its latest events and points, packed, or ''}
--         | {'no_such_job'}                                                   event: none
local id, event, point, most, owner = unpack(ARGV)
if not is_there(id, owner) then return {'no_such_job'} end
local status, progress, packed, created_ms = get(id, 'status', 'progress', 'packed', 'created_ms')
if packed then return {'ok', status, '', 'packed', {}, {}, redis.call('GET', key('recent', id)) or ''} end
local function after(name, position)
  return redis.call('XRANGE', key(name, id), '(' .. position, '+', 'COUNT', most)
end
local first_id, fields = unpack(redis.call('XRANGE', key('events', id), '-', '+', 'COUNT', 1)[1] or {'0-0', {}})
local first = '0-0'
for i = 1, #fields, 2 do
  if fields[i] == 'at_ms' and fields[i + 1] ~= created_ms then first = first_id end
end
return {'ok', status, progress or '', first, after('events', event), after('metrics', point), ''}
