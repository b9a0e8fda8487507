"""The group that every command hangs from: commands under headings, and an end with an exit code whatever happens."""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from lowland.cli.exits import translated


class Root(click.Group):
    """A group that shows its commands under headings, and turns what they raise into one line and an exit code."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[click.Command]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: Final = sections
        for commands in sections.values():
            for command in commands:
                self.add_command(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One list a heading, in the order of the table."""
        width = max(len(name) for name in self.commands)
        for title, commands in self.sections.items():
            limit = formatter.width - width - 6
            rows = [(f"{command.name:{width}}", command.get_short_help_str(limit)) for command in commands]
            with formatter.section(title):
                formatter.write_dl(rows)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments, which prints help that is asked for; what this raises is translated here too."""
        with translated():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What it raises is translated here, before click has its own way with it."""
        with translated():
            result = super().invoke(ctx)
            sys.stdout.flush()  # while it can still be told that nobody reads
            return result

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run the command that the arguments name, and exit; or return, as click does, if not in `standalone_mode`."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **kwargs)
        # closed by whoever started us
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  to the end
        sys.stderr = sys.stderr or sys.stdout
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # what the terminal's encoding lacks is written as an escape
                stream.reconfigure(errors="backslashreplace")
        with translated():
            code = super().main(*args, standalone_mode=False, **kwargs)
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
