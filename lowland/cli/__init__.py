"""The command line: a file per group of commands. What a command needs is imported inside it, so that help is quick."""

from lowland.cli.main import main

__all__ = ["main"]
