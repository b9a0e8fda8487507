"""The weights of another job that a job starts from: where their file lies."""

from pathlib import Path

from ledger import Lease, Ledger, WeightsMissing, reads
from ledger.store import run_folder


def weights_of_origin(ledger: Ledger, root: Path, lease: Lease) -> Path | None:
    """The file that the job's `model.init_from` means; None where it has none.

    Raises:
        WeightsMissing: that job is not known, or has no weights here.
        LedgerUnavailable: Redis is away.
    """
    origin = lease.spec.model.init_from
    if origin is None:
        return None
    stored = ledger.run(reads.get_weights(origin))
    path = run_folder(root, origin.job, stored.token) / stored.name
    if not path.is_file():
        raise WeightsMissing(origin.job, f"whose {stored.name} is no longer in the store")
    return path
