"""The whole house as one process tree: Redis, worker, keeper and API, started, watched and stopped together."""
