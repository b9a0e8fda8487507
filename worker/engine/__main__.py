"""The engine's command line: `python -m worker.engine spec.json --out DIR`.

Exit status: 0 trained; 75 stopped on SIGTERM, with a checkpoint written; 1 failed, and the last report says why;
2 wrong use.
"""

import argparse
import os
import sys
from pathlib import Path

from worker.engine import preload


def main() -> int:
    """Parse the command line, put the descriptors in place, train."""
    parser = _parser()
    options = parser.parse_args()
    if options.out.exists() and not options.out.is_dir():
        parser.error(f"--out is {options.out}, which is a file; give a folder")
    reports = _report_descriptor(options.report_fd)
    # Only now anything heavy is imported: what it may print no longer gets among the reports.
    preload()
    from worker.engine.program import Order, read_spec, run_spec  # noqa: PLC0415
    from worker.engine.reporting import log_to_stderr  # noqa: PLC0415

    if options.report_fd is not None:  # somebody keeps the two apart
        log_to_stderr()
    order = Order(
        out=options.out,
        reports=reports,
        resume=options.resume,
        keep_all=options.keep_all,
        weights=options.weights,
    )
    return run_spec(lambda: read_spec(options.spec), order)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.engine", description="Train one job spec without any server."
    )
    parser.add_argument("spec", type=Path, help="the job spec, a JSON file")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and artifacts")
    parser.add_argument(
        "--resume",
        type=Path,
        action="append",
        default=[],
        metavar="CHECKPOINT",
        help="go on from this checkpoint; given again, from that one where those before are damaged",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="the weights that model.init_from means")
    parser.add_argument(
        "--report-fd", type=int, metavar="N", help="descriptor for the reports (default: standard output)"
    )
    parser.add_argument("--keep-all", action="store_true", help="keep every checkpoint, not only the last two")
    return parser


def _report_descriptor(given: int | None) -> int:
    """Keep standard output for the reports alone: it moves aside, and descriptor 1 becomes standard error."""
    if given is not None and given != 1:
        return given
    moved = os.dup(1)
    os.dup2(2, 1)
    return moved


if __name__ == "__main__":
    sys.exit(main())
