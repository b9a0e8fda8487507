-- Machines, and what fits them.

-- a worker is alive while its last heartbeat is younger
local WORKER_ALIVE_MS = 15000
-- and the ledger attended while a keeper has looked at the leases within several of its turns
local UNATTENDED_MS = 3000

local function set_of(words)
  local set = {}
  for word in string.gmatch(words, '[^,]+') do set[word] = true end
  return set
end

-- What a worker has said of itself, its slots in their order; nil where it is not known.
local function machine(worker)
  local incarnation, classes, slots, labels, versions, quota, reserve_after_ms, draining, reserves = unpack(redis.call(
    'HMGET', key('worker', worker), 'incarnation', 'classes', 'slots', 'labels', 'versions', 'running_per_owner',
    'reserve_after_ms', 'draining', 'reserves'))
  if not incarnation then return nil end
  local said = {name = worker, reserves = reserves, incarnation = incarnation, draining = draining == '1', classes = set_of(classes), labels = set_of(labels),
    versions = set_of(versions), quota = tonumber(quota), reserve_after_ms = tonumber(reserve_after_ms), slots = {}}
  for name, memory, model in string.gmatch(slots, '([^=;]+)=([^=;]+)=([^;]*)') do
    -- slots of one device differ in what follows the point
    local device = string.gsub(name, '%.%d+$', '')
    said.slots[#said.slots + 1] = {name = name, device = device, memory = tonumber(memory), model = model}
  end
  return said
end

local function is_alive(worker)
  local heard_ms = redis.call('ZSCORE', key('workers'), worker)
  return heard_ms and tonumber(heard_ms) >= now_ms() - WORKER_ALIVE_MS
end

-- Those of a machine's slots that nobody holds.
local function free_slots_of(said)
  local used, free = set_of(table.concat(redis.call('HKEYS', key('slots', said.name)), ',')), {}
  for _, slot in ipairs(said.slots) do
    if not used[slot.name] then free[#free + 1] = slot end
  end
  return free
end

-- Every live machine that takes jobs; with room to remember, in one call, what one of them could run.
local function live_machines()
  local live = {could_run = {}, looks = 0}
  for _, worker in ipairs(redis.call('ZRANGE', key('workers'), integer(now_ms() - WORKER_ALIVE_MS), '+inf', 'BYSCORE')) do
    local said = machine(worker)
    if said and not said.draining then
      said.free = free_slots_of(said)
      live[#live + 1] = said
    end
  end
  return live
end

-- A queue's name says what its jobs need and whose they are.
local function needs_of(name)
  local class, world_size, memory, labels, version, owner = string.match(name, '^(.-):(.-):(.-):(.-):(.-):(.*)$')
  return {class = class, world_size = tonumber(world_size), memory = tonumber(memory), labels = labels,
    version = version, owner = owner}
end

-- How many devices among these slots have so much memory.
local function count_devices(slots, memory)
  local seen, count = {}, 0
  for _, slot in ipairs(slots) do
    if slot.memory >= memory and not seen[slot.device] then
      seen[slot.device] = true
      count = count + 1
    end
  end
  return count
end

local function has_labels(said, labels)
  for label in string.gmatch(labels, '[^,]+') do
    if not said.labels[label] then return false end
  end
  return true
end

-- Whether the machine would do with nothing else on it.
local function could_run(said, needs)
  return said.classes[needs.class] and said.versions[needs.version] and has_labels(said, needs.labels)
    and count_devices(said.slots, needs.memory) >= needs.world_size
end

-- Free slots for a job, each on a device of its own: first of the devices that have most of them.
local function choose_slots(free, needs)
  local on_device, devices = {}, {}
  for _, slot in ipairs(free) do
    if slot.memory >= needs.memory then
      if not on_device[slot.device] then
        on_device[slot.device] = {}
        devices[#devices + 1] = {name = slot.device, place = #devices}
      end
      table.insert(on_device[slot.device], slot)
    end
  end
  table.sort(devices, function(one, other)
    local more, fewer = #on_device[one.name], #on_device[other.name]
    return more > fewer or (more == fewer and one.place < other.place)
  end)
  local chosen = {}
  for i = 1, needs.world_size do chosen[i] = on_device[devices[i].name][1] end
  return chosen
end
