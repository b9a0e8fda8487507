"""What engine.py is made of: scripts to compare with, turns, the engine's start, its memory."""
