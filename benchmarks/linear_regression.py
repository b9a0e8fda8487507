"""The seed's comparison on a linear function: how much each way of training explains of all 100 samples, over seeds.

    python benchmarks/linear_regression.py [--seeds 20] [--threads 1]

10 variables, 100 samples, noise 0.1, another line for each seed; batch 16, 20 epochs, SGD with learning rate 0.01, ρ
0.5. Prints a row a variant: training R² in the last epoch (a running one, while the weights still change), and R² on 25
fresh samples of the line.
"""

import argparse
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import worker.engine
from benchmarks.seed_runs.intervals import interval
from lowland.spec import JobSpec
from lowland.spec.reports import EpochEnded, Finished, read_report

VARIANTS: Final = ("none", "sam", "ssam-f", "ssam-d", "friendly")
RHO: Final = 0.5


def main() -> None:
    """Train them all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="seeds 0 to one less; default: 20")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; default: 1")
    options = parser.parse_args()
    os.environ["LOWLAND_THREADS"] = str(options.threads)
    print(f"mean and 95 % interval over {options.seeds} seeds\n")
    print("| variant | training R² | lowest | R² of fresh samples |\n|---|---|---|---|")
    for variant in VARIANTS:
        trained, fresh = zip(*(explained(variant, seed) for seed in range(options.seeds)), strict=True)
        print(f"| {variant} | {interval(trained).percent()} | {100 * min(trained):.2f} | {interval(fresh).percent()} |")


def explained(variant: str, seed: int) -> tuple[float, float]:
    """R² of one run: of the training samples in the last epoch, and of the test part.

    Raises:
        RuntimeError: the engine did not come to its end.
    """
    sam = {"variant": variant} if variant == "none" else {"variant": variant, "rho": RHO}
    spec = JobSpec.parse(
        {"dataset": {"name": "linear", "validation_fraction": 0.0, "data_seed": seed}, "sam": sam, "seed": seed}
    )
    lines = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        status = worker.engine.run(spec, out=Path(folder), reports=lines)
    reports = [read_report(line) for line in lines.getvalue().splitlines()]
    if status != 0:
        raise RuntimeError(f"{variant}, seed {seed}: {reports[-1]}")
    last = [report for report in reports if isinstance(report, EpochEnded)][-1]
    (result,) = (report for report in reports if isinstance(report, Finished))
    return last.metrics["train_r2"], result.metrics["test_r2"]


if __name__ == "__main__":
    main()
