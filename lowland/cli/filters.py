"""Which jobs: the options that `ls` and `cancel` share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _statuses(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from lowland.spec.states import Status  # noqa: PLC0415  takes long, and only completion needs it

    return [status for status in Status if status.startswith(incomplete)]


def completed_by(field: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completion by the names that a field of a job takes."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from lowland.cli.names import names_in  # noqa: PLC0415  takes long, and only completion needs it

        return [name for name in names_in(field) if name.startswith(incomplete)]

    return complete


def filtered(command: F) -> F:
    """With an option for each filter; all that are given have to fit."""
    options = [
        click.option("--status", shell_complete=_statuses, help="In this state: queued, running, paused, ..."),
        click.option("--dataset", shell_complete=completed_by("dataset"), help="On this dataset."),
        click.option("--variant", shell_complete=completed_by("sam"), help="With this SAM variant."),
        click.option("--model", shell_complete=completed_by("model"), help="Of this model, as torchvision/resnet50."),
        click.option("--name", help="Whose name begins so."),
        click.option("--tag", "tags", multiple=True, help="With this tag: team, or team:vision. May be repeated."),
        click.option("--owner", help="Of this owner; for admins."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
