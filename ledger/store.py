"""The artifact store: a folder that the API and every worker share.

    ROOT/jobs/{job id}/{token}/{name}

Each run writes to a folder of its own, so that one which lost its lease can spoil nothing; a file counts once the
ledger names it with its checksum.
"""

from pathlib import Path


def run_folder(root: Path, job_id: str, token: int) -> Path:
    """Where one run of a job writes."""
    return root / "jobs" / job_id / str(token)
