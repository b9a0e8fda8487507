-- Who did what.

local AUDIT_KEPT = 10000

-- field, value, ...: who did what.
local function audit(now, ...)
  redis.call('XADD', key('audit'), 'MAXLEN', '~', AUDIT_KEPT, '*', 'at_ms', integer(now), ...)
end
