"""`lowland data`: datasets brought to this machine before a job asks for them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from lowland.cli.checkout import server_here
from lowland.cli.exits import Exit, fail
from lowland.cli.filters import completed_by
from lowland.cli.printing import json_option, print_json, print_line
from lowland.errors import LowlandError

if TYPE_CHECKING:
    from worker.engine.fetching import Fetched

#: Datasets that are people's own files.
_OWN: Final = frozenset({"folder", "table"})


@click.group()
def data() -> None:
    """Bring datasets to this machine. Needs the server's rooms (a checkout with `make setup`)."""


@data.command(
    epilog="""\b
Examples:
  LOWLAND_DATA_DIR=/srv/datasets lowland data get kmnist cifar10"""
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completed_by("dataset"))
@json_option
def get(names: tuple[str, ...], as_json: bool) -> None:
    """Download datasets to where workers look for them, check their files, and say where they lie.

    They go into LOWLAND_DATA_DIR, and where that is not set into LOWLAND_DOWNLOAD_DIR (~/.cache/lowland/datasets). What
    is there is checked and not fetched again. Run it as the user, and with the settings, that the workers have.
    """
    _check(names)
    with server_here():
        from pydantic import ValidationError  # noqa: PLC0415  help needs none of it

        from worker.engine.errors import EngineError  # noqa: PLC0415  it may be missing
        from worker.engine.fetching import fetch  # noqa: PLC0415
        from worker.engine.settings import settings_here  # noqa: PLC0415

        done: list[Fetched] = []
        try:
            settings = settings_here()
            for name in names:
                done.append(fetch(name, settings))
                if not as_json:
                    _print(done[-1])
        except ValidationError as error:
            mistake = error.errors()[0]
            variable = f"LOWLAND_{mistake['loc'][0]}".upper()
            fail(LowlandError(f"{variable}: {mistake['msg']}"), Exit.UNUSABLE)
        except EngineError as error:
            fail(error, Exit.FAILED)
    if as_json:
        print_json([asdict(one) | {"folder": str(one.folder) if one.folder else None} for one in done])


def _check(names: Sequence[str]) -> None:
    from lowland.cli.catalogue import NameUnknown  # noqa: PLC0415
    from lowland.cli.names import names_in  # noqa: PLC0415  takes long

    known = [name for name in names_in("dataset") if name not in _OWN]
    for name in names:
        if name in _OWN:
            raise click.UsageError(f"{name} is of your own files; put them below LOWLAND_DATA_DIR")
        if name not in known:
            fail(NameUnknown("dataset", name, known), Exit.NOT_FOUND)


def _print(one: "Fetched") -> None:
    count = f"{one.train:,} training and {one.test:,} test samples"
    if one.folder is None:
        print_line(f"{one.name}: nothing to fetch, {count}")
        return
    how = "downloaded to" if one.downloaded else "was in"
    print_line(f"{one.name}: {how} {one.folder}, {count}, files as published")
