"""What the process that forks engines imports, once."""

import worker.engine

worker.engine.preload()
