-- Finding jobs by what they are.

-- a call looks at no more jobs than this for a page of those that fit; a page may then have few, and go on
local LOOKED_AT = 1000

-- Every index beside the one of its state in which a job stands.
local function indexes_of(id)
  local owner, dataset, variant, tags = get(id, 'owner', 'dataset', 'variant', 'tags')
  local names = {key('jobs'), key('jobs_by', 'owner', owner), key('jobs_by', 'variant', variant)}
  if dataset then names[#names + 1] = key('jobs_by', 'dataset', dataset) end
  for tag, name in string.gmatch(tags or '', '(([^\n:]+):[^\n]+)') do
    names[#names + 1], names[#names + 2] = key('jobs_by', 'tag', tag), key('jobs_by', 'tag', name)
  end
  return names
end

local function add_to_indexes(id, status)
  redis.call('ZADD', key('jobs_by_status', status), 0, id)
  for _, name in ipairs(indexes_of(id)) do redis.call('ZADD', name, 0, id) end
end

-- Of a finished job nothing stays but its files.
local function forget_job(id, status)
  drop_chore('archive', id)
  give_up_all(id)
  for _, name in ipairs(indexes_of(id)) do redis.call('ZREM', name, id) end
  redis.call('ZREM', key('jobs_by_status', status), id)
  redis.call('ZREM', key('finished'), id)
  redis.call('DEL', key('job', id), key('packed', id), key('recent', id), key('metrics', id), key('events', id),
    key('deliveries', id))
end

-- What is looked for, among ARGV: status, owner, dataset, variant, model, how the name begins, each '' for any; then tags.
local function wanted_from(first)
  local status, owner, dataset, variant, model, name = unpack(ARGV, first, first + 5)
  return {status = status, owner = owner, dataset = dataset, variant = variant, model = model, name = name,
    tags = {unpack(ARGV, first + 6)}}
end

-- The indexes that together hold the jobs that fit, but for model and name; the smallest first.
local function indexes_for(wanted)
  local names = {}
  if wanted.status ~= '' then names[1] = key('jobs_by_status', wanted.status) end
  for _, field in ipairs({'owner', 'dataset', 'variant'}) do
    if wanted[field] ~= '' then names[#names + 1] = key('jobs_by', field, wanted[field]) end
  end
  for _, tag in ipairs(wanted.tags) do names[#names + 1] = key('jobs_by', 'tag', tag) end
  if #names == 0 then return {key('jobs')} end
  local sizes = {}
  for _, name in ipairs(names) do sizes[name] = redis.call('ZCARD', name) end
  table.sort(names, function(one, other) return sizes[one] < sizes[other] end)
  return names
end

-- Which of these jobs, all from the first index, stand in the other ones too, and have the model and name: id -> true.
local function fitting(ids, indexes, wanted)
  local fits, left = {}, ids
  for i = 2, #indexes do
    local there = {}
    if #left > 0 then
      for at, score in ipairs(redis.call('ZMSCORE', indexes[i], unpack(left))) do
        if score then there[#there + 1] = left[at] end
      end
    end
    left = there
  end
  local is_named = wanted.model ~= '' or wanted.name ~= ''
  for _, id in ipairs(left) do
    local model, name
    if is_named then model, name = get(id, 'model', 'name') end
    fits[id] = (wanted.model == '' or wanted.model == model) and string.sub(name or '', 1, #wanted.name) == wanted.name
  end
  return fits
end

-- Ids of jobs that fit, newest first, at most `count`; and the id after which to go on, '' where there are no more.
local function find(wanted, after, count)
  local indexes = indexes_for(wanted)
  local from, most = after == '' and '+' or '(' .. after, count + 1
  local found, looked_at = {}, 0
  while looked_at < LOOKED_AT do
    local ids = redis.call('ZRANGE', indexes[1], from, '-', 'BYLEX', 'REV', 'LIMIT', 0, most)
    local fits = fitting(ids, indexes, wanted)
    for _, id in ipairs(ids) do
      if fits[id] then
        if #found == count then return found, found[count] end
        found[#found + 1] = id
      end
      after, looked_at = id, looked_at + 1
    end
    if #ids < most then return found, '' end
    from, most = '(' .. after, 100
  end
  return found, after
end
