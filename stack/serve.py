"""`lowland serve`: Redis, worker, keeper and API as one process tree.

    serve ├ valkey     the embedded server, unless a Redis was named; goes last
          ├ worker     celery, its runners and their engines
          ├ keeper
          └ api        uvicorn; goes first

The children are the same programs that run alone elsewhere; they are told what they need by `LOWLAND_*`.
"""

import http.client
import importlib.util
import logging
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from pydantic import ValidationError

from ledger import AccessSettings, Keys, Ledger, LedgerError, LedgerSettings, LedgerUnavailable, access, presence
from ledger.address import Address
from ledger.logs import formatter
from stack.addresses import check_port, is_public, reachable, url_of
from stack.errors import (
    ChildKeepsDying,
    KeysMissing,
    PackagesMissing,
    RedisUnusable,
    RedisUrlInvalid,
    SettingsInvalid,
    StoppedAtOnce,
)
from stack.folder import DataFolder, check_artifacts, data_folder
from stack.output import Output, OutputHandler
from stack.rooms import ROOT, environment, rooms, valkey
from stack.supervisor import Supervisor
from stack.valkey import prepare

S = TypeVar("S", bound=LedgerSettings)

#: Deaths in a row of one child after which a house that was never ready is given up.
DEATHS_AT_START: Final = 3
#: How often the children are looked at.
TICK_S: Final = 0.1
#: What the children need of other people's work, as far as it is easily left out.
PACKAGES: Final = ("celery", "fastapi", "sklearn", "torch", "torchvision", "uvicorn")
#: A worker's name, and since when.
_Enrolment = tuple[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `lowland serve` was asked for."""

    host: str
    port: int
    """0 takes a free one."""
    data_dir: Path
    workers: int | None
    """Jobs trained at once; None leaves it to the worker."""
    redis_url: str | None
    """A Redis to use; None starts one."""
    allow_anonymous: bool = False
    """Whether others than this machine may come in without a key."""


def serve(options: Options) -> None:
    """Run the house until it is told to stop, by SIGINT, SIGTERM or SIGHUP.

    Raises:
        CannotServe: something about the machine or the options does not allow it; nothing is left running.
        ChildKeepsDying: the house never got ready; nothing is left running.
        StoppedAtOnce: a second SIGINT came while it was stopping; nothing is left running.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise PackagesMissing(missing, ROOT)
    settings = _settings(LedgerSettings)
    wishes = _Wishes()
    with data_folder(options.data_dir) as folder, Output(sys.stderr.fileno()) as output:
        form = formatter(settings, process="serve", on_terminal=sys.stderr.isatty())
        logging.basicConfig(level=settings.log_level, handlers=[OutputHandler(output, form)])
        port = check_port(options.host, options.port)
        house = Supervisor(output)
        try:
            _run(house, options, folder, port, wishes)
        finally:
            house.stop(wishes.told_at_once)
    if wishes.at_once:
        raise StoppedAtOnce


class _Wishes:
    """What signals have asked for."""

    def __init__(self) -> None:
        self.stop = False
        self.at_once = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
                signal.signal(number, self._note)

    def told_at_once(self) -> bool:
        """Whether there is no time for an orderly stop."""
        return self.at_once

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.at_once = self.at_once or (self.stop and number == signal.SIGINT)
        self.stop = True


def _run(house: Supervisor, options: Options, folder: DataFolder, port: int, wishes: _Wishes) -> None:
    """Start everything and look after it until told to stop."""
    server = prepare(folder) if options.redis_url is None else None
    url = server.url if server else str(options.redis_url)
    with open_ledger(url) as ledger:
        if server:
            house.add(valkey(server, folder))
            if not answers_soon(ledger, house, stop_wished=lambda: wishes.stop):
                return
        else:
            check_ledger(ledger, place_of(url))
        guarded = _guarded(options, ledger)
        variables = environment(folder, redis_url=url, workers=options.workers, require_api_key=guarded)
        former = _former(ledger, url)
        check_artifacts(Path(variables["LOWLAND_ARTIFACT_DIR"]))
        for program in rooms(options.host, port, folder, variables):
            house.add(program)
        ready = False
        while not wishes.stop:
            house.tend()
            if not ready:
                _give_up_on_the_dying(house)
                if ready := _is_ready(options.host, port, ledger, former):
                    print(f"Lowland is ready on {url_of(options.host, port)}", flush=True)
            time.sleep(TICK_S)


def _guarded(options: Options, ledger: Ledger) -> bool:
    """Whether the API must want keys, even if the ledger should lose them: where others can reach it.

    Raises:
        KeysMissing: it must, and there is none.
        SettingsInvalid: the keys in the environment cannot be read.
    """
    settings = _settings(AccessSettings)
    if options.allow_anonymous or not is_public(options.host):
        return settings.require_api_key
    if not (settings.configured_keys() or settings.require_api_key or ledger.run(access.is_guarded())):
        raise KeysMissing(options.host)
    return True


def open_ledger(url: str) -> Ledger:
    """The ledger that the settings name, on the Redis at the URL.

    Raises:
        SettingsInvalid: a setting has a value that is not allowed.
        RedisUrlInvalid: there is no such kind of URL.
    """
    prefix = _settings(LedgerSettings).redis_prefix
    try:
        return Ledger(url, Keys(prefix))
    except ValueError as error:
        raise RedisUrlInvalid(str(error)) from error


def _settings(kind: type[S]) -> S:
    try:
        return kind()
    except ValidationError as error:
        mistake = error.errors()[0]
        raise SettingsInvalid(f"LOWLAND_{mistake['loc'][0]}".upper(), mistake["msg"]) from error


def answers_soon(ledger: Ledger, house: Supervisor, *, stop_wished: Callable[[], bool]) -> bool:
    """Wait until our own server has read its data. False: told to stop first.

    Raises:
        ChildKeepsDying: it did not come up.
        RedisUnusable: it cannot hold a ledger, or holds another one.
    """
    while not stop_wished():
        house.tend()
        _give_up_on_the_dying(house)
        try:
            check_ledger(ledger, "127.0.0.1, started here,")
        except RedisUnusable as error:
            if not isinstance(error.__cause__, LedgerUnavailable):
                raise
            time.sleep(TICK_S / 4)
        else:
            return True
    return False


def check_ledger(ledger: Ledger, place: str) -> None:
    """Make sure that what is at this place can be used, or say why not.

    Raises:
        RedisUnusable: it cannot.
    """
    try:
        ledger.check()
    except LedgerError as error:
        raise RedisUnusable(place, str(error)) from error


def place_of(url: str) -> str:
    """Where a URL that can be read leads, without its password."""
    return str(Address.read(url))


def _give_up_on_the_dying(house: Supervisor) -> None:
    for child in house.children:
        if child.deaths_in_a_row >= DEATHS_AT_START:
            raise ChildKeepsDying(child.program.name, child.ending, " / ".join(child.last_words) or "nothing")


def _former(ledger: Ledger, url: str) -> set[_Enrolment]:
    """Starts of workers that the ledger knows of; one that was killed still counts as alive for a while."""
    try:
        return {(worker.id, worker.since) for worker in ledger.run(presence.list_workers())}
    except LedgerUnavailable as error:
        raise RedisUnusable(place_of(url), str(error)) from error


def _is_ready(host: str, port: int, ledger: Ledger, former: set[_Enrolment]) -> bool:
    """Whether the API says that it is ready, and a worker has reported that was not there before: our own, unless one
    starts elsewhere at the same time."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=1.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200 and any(
            worker.alive and (worker.id, worker.since) not in former for worker in ledger.run(presence.list_workers())
        )
    except (OSError, http.client.HTTPException, LedgerUnavailable):
        return False
    finally:
        connection.close()
