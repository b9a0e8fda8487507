"""What an engine does to a job, done by hand: so that there is something to show."""

import hashlib
import json
from pathlib import Path

from ledger import Lease, Ledger, runs
from ledger.store import run_folder

CONTENT = bytes(range(256)) * 100


def epoch(ledger: Ledger, lease: Lease, number: int, accuracy: float, *, of: int = 4) -> None:
    """Report the end of an epoch."""
    progress = {
        "epoch": number,
        "epochs": of,
        "step": 10 * number,
        "steps": 10 * of,
        "fraction": number / of,
        "eta_s": 5.0 * (of - number),
        "samples_per_s": 1000.0,
    }
    objective = {"name": "validation_accuracy", "value": accuracy, "best": accuracy, "direction": "maximize"}
    point = {"step": 10 * number, "epoch": number, "train_loss": 1 / number, "validation_accuracy": accuracy}
    fields = {"progress": json.dumps(progress), "objective": json.dumps(objective)}
    ledger.run(runs.report(lease, number, lease_ms=60_000, fields=fields, point=json.dumps(point)))


def artifact(ledger: Ledger, lease: Lease, root: Path, name: str, *, sequence: int) -> None:
    """Write a file and report it."""
    folder = run_folder(root, lease.job_id, lease.token)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(CONTENT)
    recorded = {
        "name": name,
        "size_bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "media_type": "application/octet-stream",
        "token": lease.token,
    }
    fields = {f"artifact:{name}": json.dumps(recorded)}
    ledger.run(runs.report(lease, sequence, lease_ms=60_000, fields=fields))


def prints(root: Path, lease: Lease, text: str) -> None:
    """Write to the engine's log."""
    folder = run_folder(root, lease.job_id, lease.token)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "engine.log").open("a") as file:
        file.write(text)
