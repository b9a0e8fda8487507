"""What the process that forks engines imports, once."""

import atexit
import os

import worker.engine

worker.engine.preload()

# A process that forks engines for tests leaves at once when they are over: torch takes a while to take itself down.
atexit.register(os._exit, 0)
