-- Free the slots whose run was taken away, once the engine's processes are gone.
--   KEYS  1 prefix
--   ARGV  1 worker   2 slots with commas   3 job id   4 token
--   ->    {'ok'}                                                              event: none
local worker, slots, id, token = unpack(ARGV)
free_slots(worker, slots, id, token)
return {'ok'}
