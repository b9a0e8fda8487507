"""`lowland artifacts` and `lowland download`: the files that a job has made."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lowland.cli import wording
from lowland.cli.connecting import connected
from lowland.cli.printing import Column, json_option, print_json, print_line, print_table

if TYPE_CHECKING:
    from lowland.spec.resource import Job

_COLUMNS: Final = (
    Column(head="NAME"),
    Column(head="SIZE", right=True),
    Column(head="TYPE", drop=1),
    Column(head="SHA256", drop=2),
)


@click.command()
@click.argument("job_id", metavar="ID")
@json_option
def artifacts(job_id: str, as_json: bool) -> None:
    """List the files that a job has made."""
    with connected() as client:
        job = client.get(job_id)
    if as_json:
        print_json(job.artifacts)
    elif not job.artifacts:
        print_line(f"job {job.id} has made no files yet", err=True)
    else:
        print_table(
            _COLUMNS,
            [
                [artifact.name, wording.size(artifact.size_bytes), artifact.media_type, artifact.sha256]
                for artifact in job.artifacts
            ],
        )


@click.command(
    epilog="""\b
Examples:
  lowland download 01a20eac-4e6a-74fe-bc88-99ef8f3dca2e
  lowland download 01a20eac-4e6a-74fe-bc88-99ef8f3dca2e model.safetensors -o weights.safetensors"""
)
@click.argument("job_id", metavar="ID")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="Folder to put the files in, made where it is not there; of one NAME a file, or with / at its end a folder.  "
    "[default: this folder]",
)
@json_option
def download(job_id: str, names: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Fetch files that a job has made.

    All of them, or those named; prints where they lie. A file is in its place once its checksum is right. A download
    that broke off goes on where it was.
    """
    if output == "-":
        raise click.UsageError("--output is -; give a file or a folder")
    with connected() as client:
        wanted = names or _all(client.get(job_id))
        target = Path(output or ".")
        if len(names) != 1 or (output or "").endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        paths: list[str] = []
        for name in wanted:
            paths.append(str(client.download(job_id, name, target)))
            if not as_json:
                print_line(paths[-1])
    if as_json:
        print_json([{"name": name, "path": path} for name, path in zip(wanted, paths, strict=True)])


def _all(job: "Job") -> Sequence[str]:
    if not job.artifacts:
        print_line(f"job {job.id} has made no files yet", err=True)
    return [artifact.name for artifact in job.artifacts]
