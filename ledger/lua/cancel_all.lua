-- Cancel jobs that fit and have not ended: at once those that wait, by a wish those that run.
--   KEYS  1 prefix
--   ARGV  1 request id (one per call)   2 how many at most   3 state to go on in, or ''   4 id to go on after, or ''
--         then what is looked for, as `wanted_from` reads it
--   ->    {'ok', how many were cancelled, of how many it was asked now, state to go on in or '', id to go on after or ''},
--         also for a repetition                                      event: cancelled | cancel_requested, of each
local request, left, state, after = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local known = redis.call('GET', key('request', request))
if known then return {'ok', string.match(known, '^(%d+) (%d+) (%S*) (%S*)$')} end
local wanted, now = wanted_from(5), now_ms()
local only, cancelled, asked = wanted.status, 0, 0

-- Whether anything was done: what is being cancelled is left.
local function cancel(id, status)
  if status ~= 'running' then
    move_by_hand(id, 'cancel', now)
    cancelled = cancelled + 1
  elseif get(id, 'requested') ~= 'cancel' then
    redis.call('HSET', key('job', id), 'requested', 'cancel')
    note(id, 'cancel_requested', now)
    asked = asked + 1
  end
end

local function done(in_state, after_id)
  local answer = string.format('%d %d %s %s', cancelled, asked, in_state, after_id)
  redis.call('SET', key('request', request), answer, 'PX', ANSWER_KEPT_MS)
  return {'ok', integer(cancelled), integer(asked), in_state, after_id}
end

-- in this order a job that is claimed between two calls is met where it has gone
for _, status in ipairs({'queued', 'running', 'paused'}) do
  if state == status then state = '' end
  if state == '' and (only == '' or only == status) then
    if left == 0 then return done(status, '') end
    wanted.status = status
    local ids, following = find(wanted, after, left)
    after = ''
    for _, id in ipairs(ids) do cancel(id, status) end
    left = left - #ids
    if following ~= '' then return done(status, following) end
  end
end
return done('', '')
