-- The ledger's own state.
--   KEYS  1 prefix
--   ARGV  none
--   ->    {'ok', layout of the ledger or '', live workers, jobs waiting, jobs running}  event: none
return {'ok', redis.call('GET', key('schema')) or '', redis.call('ZCOUNT', key('workers'), integer(now_ms() - WORKER_ALIVE_MS), '+inf'),
  redis.call('ZCARD', key('jobs_by_status', 'queued')), redis.call('ZCARD', key('jobs_by_status', 'running'))}
