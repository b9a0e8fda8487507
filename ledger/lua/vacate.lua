-- Free the devices whose run was taken away, once the engine's processes are gone.
--   KEYS  1 prefix
--   ARGV  1 worker   2 devices with commas   3 job id   4 token
--   ->    {'ok'}                                                              event: none
local worker, device, id, token = unpack(ARGV)
free_devices(worker, device, id, token)
return {'ok'}
