"""The workers: Celery rings, a runner claims a job and starts the engine, the keeper sees that nothing is forgotten."""
