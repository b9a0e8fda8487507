"""The options that say where a server on this machine keeps its things."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_AS_GIVEN: Final = "Folder of the server, as `lowland serve` was given it."


def data_dir_option(*, text: str = _AS_GIVEN) -> Callable[[F], F]:
    """`--data-dir`, given as `data_dir`."""
    return click.option(
        "--data-dir",
        default=Path("~/.local/share/lowland"),
        show_default=True,
        type=click.Path(path_type=Path),
        help=text,
    )


def redis_url_option(text: str) -> Callable[[F], F]:
    """`--redis-url`, given as `redis_url`; None, or empty, where it is not."""
    return click.option("--redis-url", envvar="LOWLAND_REDIS_URL", show_envvar=True, help=text)
