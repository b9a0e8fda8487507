"""The artifact store: a folder that the API, the keeper and every worker share.

    ROOT/store.json                      its id, which the ledger knows too
    ROOT/jobs/{job id}/record.json       all there is about a finished job (packing.py)
    ROOT/jobs/{job id}/{token}/{name}    what a run has written; engine.log is what its engine has printed

Each run writes to a folder of its own, so that one which lost its lease can spoil nothing; a file counts once the
ledger names it with its checksum.
"""

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

_MARK: Final = "store.json"
#: Where an engine's standard output and error go, in the folder of its run.
ENGINE_LOG: Final = "engine.log"


def job_folder(root: Path, job_id: str) -> Path:
    """Everything of one job."""
    return root / "jobs" / job_id


def run_folder(root: Path, job_id: str, token: int) -> Path:
    """Where one run of a job writes."""
    return job_folder(root, job_id) / str(token)


def read_store_id(root: Path) -> str:
    """The store's id.

    Raises:
        OSError: its mark is not there, or cannot be read.
    """
    try:
        return str(json.loads((root / _MARK).read_text(encoding="utf-8"))["id"])
    except (ValueError, KeyError) as error:
        raise OSError(f"{root / _MARK} is damaged: {error}") from error


def claim_store(root: Path) -> str:
    """The store's id, drawn at random by whoever is first to ask.

    Raises:
        OSError: the folder cannot be written, or its mark not be read.
    """
    root.mkdir(parents=True, exist_ok=True)
    mark = root / _MARK
    if not mark.exists():
        temporary = root / f".{_MARK}.{secrets.token_hex(4)}"
        temporary.write_text(json.dumps({"id": secrets.token_hex(16)}) + "\n", encoding="utf-8")
        try:
            with suppress(FileExistsError):  # somebody else was first
                os.link(temporary, mark)
        finally:
            temporary.unlink()
    return read_store_id(root)
