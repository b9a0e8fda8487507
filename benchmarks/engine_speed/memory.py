"""The most memory an engine takes, in a process of its own, beside what the contract estimates."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lowland.spec import JobSpec
from lowland.spec.estimate import Estimate, estimate
from lowland.spec.reports import Report, Started, read_report

ROOT: Final = Path(__file__).resolve().parents[2]
#: A job beside which the runtime is all there is.
NEXT_TO_NOTHING: Final = {"dataset": "digits", "model": "linear", "sam": "none", "epochs": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes at their most."""

    peak: int
    """Resident, of the whole process."""
    runtime: int
    """The same of a job that needs next to nothing."""
    estimate: Estimate

    @property
    def ratio(self) -> float:
        """What the job needed beyond the runtime, over what was estimated."""
        return (self.peak - self.runtime) / (self.estimate.total_bytes or 1)


def memory(spec: JobSpec, folder: Path, *, threads: int) -> Memory:
    """Run a job to its end."""
    runtime, _ = _peak(JobSpec.parse(NEXT_TO_NOTHING), folder / "runtime", threads=threads)
    peak, reports = _peak(spec, folder / "job", threads=threads)
    (precision,) = [report.precision for report in reports if isinstance(report, Started)]
    return Memory(peak=peak, runtime=runtime, estimate=estimate(spec, precision=precision))


def _peak(spec: JobSpec, folder: Path, *, threads: int) -> tuple[int, Sequence[Report]]:
    """The most memory of an engine's process up to its last report, and what it said."""
    folder.mkdir()
    path = folder / "spec.json"
    path.write_text(spec.model_dump_json())
    command = [sys.executable, "-m", "worker.engine", str(path), "--out", str(folder)]
    environment = {**os.environ, "LOWLAND_THREADS": str(threads)}
    reports: list[Report] = []
    peak = 0
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            reports.append(read_report(line))
            peak = max(peak, _high_water(process.pid))
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak, reports


def _high_water(pid: int) -> int:
    """The most a process had resident so far, in bytes; 0 where it is gone.

    What `getrusage` says of a child is no use: it begins with the parent's own peak.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return 1024 * int(found[1]) if found else 0
