"""The seed's table on real data: its variants on its three datasets, over seeds, beside the accuracies it states.

    python benchmarks/seed_table.py --dataset kmnist --seeds 0 1 2 --out results
    python benchmarks/seed_table.py --table --out results

Every run is an engine in a process of its own, one after the other. Started again, finished runs are not repeated and
one that was cut short goes on from its checkpoint. Recipes are the files in `examples/`; what they leave open is the
contract's defaults. The data are looked for as the engine does it (LOWLAND_DATA_DIR, or a download).

`--table` writes table.md and table.svg into the folder, from whatever is finished there. Only it shows test accuracies:
while runs are chosen and made, there are validation accuracies alone.
"""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.seed_runs.picture import draw
from benchmarks.seed_runs.runs import RunFailed, results_in, run
from benchmarks.seed_runs.sheets import SHEETS, spec_of
from benchmarks.seed_runs.table import markdown, rows_of
from lowland.spec import JobSpec


def main() -> int:
    """Run what is asked for, or write the table; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", nargs="+", choices=list(SHEETS), default=["kmnist", "fashion-mnist", "cifar10"])
    parser.add_argument("--variants", nargs="+", help="default: the seed's own, as far as they suit the data")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU; default: 2")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where runs and results are kept")
    parser.add_argument("--table", action="store_true", help="write the table of what is finished; run nothing")
    options = parser.parse_args()

    if options.table:
        return write_table(options.out)
    signal.signal(signal.SIGTERM, _interrupt)
    asked = list(planned(options.dataset, options.variants, options.seeds, epochs=options.epochs))
    try:
        return run_all(asked, options.out, threads=options.threads)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def planned(
    sheets: Sequence[str], variants: Sequence[str] | None, seeds: Sequence[int], *, epochs: int | None
) -> Iterator[tuple[str, JobSpec]]:
    """The jobs in their order: all variants with one seed before the next seed, so that rows grow together.

    Raises:
        SpecInvalid: a recipe does not suit a variant.
    """
    for sheet in sheets:
        for seed in seeds:
            for variant in variants or SHEETS[sheet].variants:
                yield sheet, spec_of(sheet, variant, seed=seed, epochs=epochs)


def run_all(jobs: Sequence[tuple[str, JobSpec]], out: Path, *, threads: int) -> int:
    """Run them one after the other; one that fails is told of, and the others are run all the same."""
    failed = 0
    for number, (sheet, spec) in enumerate(jobs, 1):
        try:
            result = run(sheet, spec, out, threads=threads)
        except RunFailed as error:
            failed += 1
            print(error, file=sys.stderr)
        else:
            print(f"{number}/{len(jobs)} {sheet} {result.variant} {result.seed}: done, {result.seconds:.0f} s")
    return 1 if failed else 0


def write_table(out: Path) -> int:
    """Write table.md and table.svg."""
    results = results_in(out)
    if not results:
        print(f"{out} has no finished run; run without --table first", file=sys.stderr)
        return 1
    text = markdown(results)
    (out / "table.md").write_text(text, encoding="utf-8")
    (out / "table.svg").write_text(draw(rows_of(results)), encoding="utf-8")
    print(text, end="")
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
