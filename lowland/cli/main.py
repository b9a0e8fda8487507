"""The root of the command line."""

import click

import lowland
from lowland.cli.keys import keys
from lowland.cli.rebuild import rebuild
from lowland.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(lowland.__version__, prog_name="lowland")
def main() -> None:
    """Train models into flat minima with Sharpness-Aware Minimization."""


main.add_command(keys)
main.add_command(rebuild)
main.add_command(serve)
