-- Read how it stands with what a job's owner is told.
--   KEYS  1 prefix
--   ARGV  1 job id   2 whose it must be, or '' for anybody's
--   ->    {'ok', its hash as a flat list, the packed part or '', "ms reason" if the receiver is gone,
--         else '', {{message, how it stands, when it is due in ms, or ''}, ...}} | {'no_such_job'}    event: none
local id, owner = unpack(ARGV)
if not is_there(id, owner) then return {'no_such_job'} end
local disabled, messages = '', {}
local all = redis.call('HGETALL', key('deliveries', id))
for i = 1, #all, 2 do
  if all[i] == 'disabled' then
    disabled = all[i + 1]
  else
    local due_ms = redis.call('ZSCORE', key('chores', 'webhook'), id .. ' ' .. all[i])
    messages[#messages + 1] = {all[i], all[i + 1], due_ms or ''}
  end
end
return {'ok', redis.call('HGETALL', key('job', id)), redis.call('GET', key('packed', id)) or '', disabled, messages}
