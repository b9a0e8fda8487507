"""What a step of every SAM variant costs, ours and the peers', beside the base optimizer alone.

Run `python benchmarks/sam_step.py`; `--quick` for a first look, `--variants sam looksam` for some rows, `--tables step`
for one of the tables:

    optimizer     the optimizer's own time: the gradients are given, and no pass is run        target: ours ≤ the peer's
    step          passes and all, in steps of SGD with momentum
    mask          what a step of SSAM costs more in which its mask is renewed
    memory        tensors held beside the base optimizer's, in copies of the parameters, beside what the class says
    sync          on a GPU: whether one step makes the host wait for the device

Sides take their turns in alternation, in one process. A ratio is the median over rounds, with its quartiles. Times are
CPU time where torch has one thread, wall time where it has more, and CUDA events on a GPU. `bare` is what the same
passes cost with nothing of an optimizer between them; where a target holds for two bare passes at 2.0, it is scaled by
what they cost here. A target nearer to the median than two of its standard errors is undecided.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from sam_peers import peers, timing
from sam_peers.contestants import ENTRIES, OURS, contestants
from sam_peers.step_memory import memory, stated_memory, sync
from sam_peers.step_optimizer import optimizer_time
from sam_peers.step_sides import Row, Setting
from sam_peers.step_whole import mask_update, whole_step

import sam


def main() -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="an eighth of the rounds, and no ResNet-18")
    parser.add_argument("--model", choices=("resnet18", "convnet"), help="only this one; default: both")
    parser.add_argument("--variants", nargs="+", choices=[e.label for e in ENTRIES], help="only these rows")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), help="only these tables")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; one is the steadiest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row there")
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", default=peers.default_folder(), help="their environment"
    )
    parser.add_argument("--alone", action="store_true", help="without the peers: nothing is installed")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    loaded = {} if options.alone else peers.load(options.peers)
    device = torch.device(options.device)
    setting = Setting(
        device=device,
        models=[options.model] if options.model else ["convnet"] if options.quick else ["resnet18", "convnet"],
        labels=[e.label for e in ENTRIES if e.variant in sam.VARIANTS and e.label in (options.variants or [e.label])],
        contestants=contestants(loaded, foreach=device.type == "cpu"),
        quick=options.quick,
    )
    conditions = described(device, loaded)
    print("\n".join(conditions))
    rows: list[Row] = []
    for name in options.tables:
        title, measure = TABLES[name]
        found = measure(setting)
        rows += found
        if found:
            print(f"\n{title}\n{printed(found)}")
    if options.json:
        written = {"conditions": conditions, "rows": [{**asdict(r), "verdict": r.verdict} for r in rows]}
        options.json.write_text(json.dumps(written, indent=1) + "\n")


def described(device: torch.device, loaded: Mapping[str, Any]) -> list[str]:
    """Where this was measured: what a reader needs to compare."""
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    else:
        threads = torch.get_num_threads()
        where = "one thread of the CPU, in CPU time" if threads == 1 else f"{threads} threads of the CPU"
    return [f"torch {torch.__version__} on {where}", *peers.described(loaded)]


#: Tables by name: a title, and what measures the rows.
TABLES: Final[Mapping[str, tuple[str, Callable[[Setting], list[Row]]]]] = MappingProxyType(
    {
        "optimizer": ("Optimizer time beside the passes: ours / theirs (gradients given)", optimizer_time),
        "step": ("Whole step, in steps of SGD with momentum", whole_step),
        "mask": ("Mask update: what a step with one costs more, in steps of SGD", mask_update),
        "memory": ("Memory beside the base optimizer, in copies of the parameters (inside the worst pass)", memory),
        "sync": ("Steps that make the host wait for the device (1: yes)", sync),
    }
)


def printed(rows: Sequence[Row]) -> str:
    """The rows of one table as text."""
    extra = list(rows[0].more)
    stated = ["stated"] if rows[0].what == "memory" else []
    heads = ["variant", "library", "model", *extra, "measured", "target", "", *stated]
    lines: list[list[str]] = []
    for row in rows:
        numbers = [f"{row.more[name]:.3f}" for name in extra]
        target = "" if row.target is None else f"<= {row.target:.2f}"
        entry = next((e for e in ENTRIES if e.label == row.variant), None)
        said = [stated_memory(entry.variant) if entry and row.library == OURS else ""] if stated else []
        lines.append([row.variant, row.library, row.model, *numbers, str(row.cost), target, row.verdict, *said])
    return timing.table(heads, lines)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError:
        sys.exit("The peers could not be installed; --alone measures without them.")
