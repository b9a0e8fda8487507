"""The root of the command line: every command, under its heading."""

import click

import lowland
from lowland.cli.catalogue import datasets, functions, models, optimizers, schedules, variants
from lowland.cli.completion import completion
from lowland.cli.control import cancel, pause, resume, retry, rm
from lowland.cli.data import data
from lowland.cli.doctor import doctor
from lowland.cli.files import artifacts, download
from lowland.cli.jobs import ls, show
from lowland.cli.keys import keys
from lowland.cli.logs import logs
from lowland.cli.metrics import metrics
from lowland.cli.rebuild import rebuild
from lowland.cli.root import Root
from lowland.cli.serve import serve
from lowland.cli.submit import submit
from lowland.cli.watch import watch
from lowland.cli.workers import workers


@click.group(
    cls=Root,
    sections={
        "Jobs": [submit, ls, show, watch, logs, metrics, cancel, pause, resume, retry, rm],
        "What a job has made": [artifacts, download],
        "What a job can name": [variants, datasets, models, optimizers, schedules, functions],
        "The server": [serve, doctor, workers, keys, data, rebuild],
        "This command line": [completion],
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--url", metavar="URL", help="Where the server is.  [env var: LOWLAND_URL; default: http://127.0.0.1:8000]"
)
@click.version_option(lowland.__version__, prog_name="lowland")
def main(url: str | None) -> None:
    """Train models into flat minima with Sharpness-Aware Minimization.

    An API key is read from LOWLAND_API_KEY, and nowhere else: others on a machine see what commands are called with.
    Errors are one line on standard error; docs/reference/cli.md has every exit code.
    """
