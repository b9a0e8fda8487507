"""The weights of another job that a job starts from: where their file lies."""

from pathlib import Path

from ledger import JobNotFound, Lease, Ledger, reads
from ledger.store import run_folder
from lowland.spec.models import WEIGHTS_FILES


class WeightsMissing(Exception):
    """The weights a job is to start from are not there; it cannot start, now or later."""

    def __init__(self, job_id: str, problem: str) -> None:
        self.job_id = job_id
        super().__init__(f"model.init_from.job is {job_id}, {problem}; give a job that has succeeded")


def weights_of_origin(ledger: Ledger, root: Path, lease: Lease) -> Path | None:
    """The file that the job's `model.init_from` means; None where it has none.

    Raises:
        WeightsMissing: that job is not known, or has no weights.
        LedgerUnavailable: Redis is away.
    """
    origin = lease.spec.model.init_from
    if origin is None:
        return None
    try:
        stored = ledger.run(reads.get_artifact(origin.job, WEIGHTS_FILES[origin.artifact]))
    except JobNotFound as error:
        raise WeightsMissing(origin.job, "which is not known") from error
    if stored is None:
        raise WeightsMissing(origin.job, "which has no weights")
    path = run_folder(root, origin.job, stored.token) / stored.name
    if not path.is_file():
        raise WeightsMissing(origin.job, f"whose {stored.name} is no longer in the store")
    return path
