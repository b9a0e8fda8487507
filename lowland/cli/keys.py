"""`lowland keys`: who may use the server."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from lowland.cli.checkout import server_here
from lowland.cli.exits import Exit, fail
from lowland.cli.placing import data_dir_option, redis_url_option
from lowland.cli.printing import Column, json_option, print_json, print_table

F = TypeVar("F", bound=Callable[..., Any])

_COLUMNS: Final = (
    Column(head="ID"),
    Column(head="OWNER", cut=8),
    Column(head="SCOPES"),
    Column(head="NAME", cut=8, drop=3),
    Column(head="EXPIRES_AT"),
    Column(head="QUOTA", right=True, drop=2),
    Column(head="RATE_LIMIT", drop=1),
)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class _Duration(click.ParamType[int]):
    """A time such as 30d, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"([1-9]\d{0,8})([smhdw])", str(value))
        if not match:
            self.fail(f"{value} is no time; give a number and s, m, h, d or w, as 30d", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]


def _placed(command: F) -> F:
    """With the options that say whose keys they are."""
    folder = data_dir_option()
    redis = redis_url_option(
        "Redis or Valkey of the server.  [default: the data folder's, started for that where it does not run]"
    )
    return folder(redis(command))


@click.group()
def keys() -> None:
    """Make, list and revoke API keys.

    With the first key the server wants one from everybody. A server that runs notices within five seconds. Needs the
    server's rooms (a checkout with `make setup`), and its Redis.
    """


@keys.command()
@click.option("--owner", required=True, help="Whose the jobs are that come with the key.")
@click.option("--scopes", required=True, help="What it is good for: read, submit, admin, with commas.")
@click.option("--name", default="", help="To tell it from the owner's others.")
@click.option("--expires-in", type=_Duration(), help="How long it works: 90m, 12h, 30d.  [default: until revoked]")
@click.option(
    "--quota",
    type=click.IntRange(min=1),
    help="Jobs the owner may have queued, running or paused.  [default: LOWLAND_QUOTA_JOBS of the server]",
)
@click.option("--rate-limit", help="Requests, as 600/minute.  [default: LOWLAND_RATE_LIMIT of the server]")
@json_option
@_placed
def create(
    owner: str,
    scopes: str,
    name: str,
    expires_in: int | None,
    quota: int | None,
    rate_limit: str | None,
    as_json: bool,
    data_dir: Path,
    redis_url: str | None,
) -> None:
    """Make a key, and print it: the only time that anybody sees it. As JSON it is `key`."""
    with server_here():
        from stack import keys  # noqa: PLC0415  help needs none of it, and it may be missing

        wanted = keys.Wanted(
            owner=owner,
            scopes=[scope.strip() for scope in scopes.split(",")],
            name=name,
            expires_in_s=expires_in,
            rate_limit=rate_limit,
            quota=quota,
        )
        try:
            secret, made = keys.create(keys.Place(data_dir=data_dir, redis_url=redis_url or None), wanted)
        except ValueError as error:
            fail(error, Exit.UNUSABLE)
    if as_json:
        print_json({**_row(made), "key": secret})
        return
    click.echo(f"{made.id} of {made.owner}; the key is shown only now:", err=True)
    click.echo(secret)


@keys.command()
@json_option
@_placed
def ls(as_json: bool, data_dir: Path, redis_url: str | None) -> None:
    """List the keys, without telling them, oldest first."""
    with server_here():
        from stack import keys  # noqa: PLC0415  help needs none of it, and it may be missing

        listed = [_row(key) for key in keys.ls(keys.Place(data_dir=data_dir, redis_url=redis_url or None))]
    if as_json:
        print_json(listed)
        return
    print_table(_COLUMNS, [[_cell(row[column.head.lower()]) for column in _COLUMNS] for row in listed])


@keys.command()
@click.argument("key_id", required=False)
@click.option("--all", "every", is_flag=True, help="All keys; afterwards the server wants none from anybody.")
@json_option
@_placed
def revoke(key_id: str | None, every: bool, as_json: bool, data_dir: Path, redis_url: str | None) -> None:
    """Have a key work no more. Without its last key a server lets nobody in."""
    if every == (key_id is not None):
        raise click.UsageError("give the id of a key, as `lowland keys ls` shows it, or --all")
    with server_here():
        from stack import keys  # noqa: PLC0415  help needs none of it, and it may be missing

        left = keys.revoke(keys.Place(data_dir=data_dir, redis_url=redis_url or None), key_id)
    if as_json:
        print_json({"revoked": key_id, "left": left})
    elif every:
        click.echo("all keys revoked; where none is required or set by LOWLAND_API_KEYS, everybody may come in")
    else:
        click.echo(f"{key_id} revoked, {left} left" + ("" if left else "; nobody comes in until there is another"))


def _row(key: Any) -> dict[str, Any]:
    return {
        "id": key.id,
        "owner": key.owner,
        "scopes": sorted(key.scopes),
        "name": key.name or None,
        "created_at": _moment(key.created_at),
        "expires_at": _moment(key.expires_at),
        "quota": key.quota,
        "rate_limit": key.rate_limit,
    }


def _moment(at: Any) -> str | None:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if at else None


def _cell(value: Any) -> str:
    return "-" if value is None else ",".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
