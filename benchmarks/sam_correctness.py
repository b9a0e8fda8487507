"""What SAM optimizers get right, ours and the peers': every cell of the table is an experiment.

Run `python benchmarks/sam_correctness.py`; `--markdown FILE` writes the tables as they stand in the documentation.

    yes            the experiment went as it must
    no             it did not, and how far off
    not offered    the library has no way to do that, or refuses it
    blank          the question does not arise for this variant

Peers are driven as their own pages say: gradients first where they want them, AdamW under zij's LookSAM, the base
optimizer's state saved beside that of zij's GSAM, pytorch_optimizer's helper for BatchNorm in the second pass (zij
exports none). Their pages say nothing of loss scaling: what is tried is `scaler.step(optimizer, closure)`.
"""

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import torch
from sam_peers import checks_frame as frame
from sam_peers import checks_numbers as numbers
from sam_peers import peers
from sam_peers.contestants import OURS, Contestant, contestants
from sam_peers.trials import FAILURES, Outcome

#: The questions, in the order of the table.
CHECKS: Final[Mapping[str, Callable[[Contestant], Outcome]]] = {
    "ρ = 0 is the base optimizer: parameters": frame.idle_parameters,
    "ρ = 0: BatchNorm's buffers": frame.idle_buffers,
    "ρ = 0: dropout": frame.idle_dropout,
    "ρ = 0 takes one pass": frame.idle_passes,
    "no pass more than the paper's": frame.passes_due,
    "BatchNorm moves once per step": frame.statistics_move_once,
    "both passes draw the same dropout": frame.same_dropout,
    "w comes back bit for bit": frame.restored_after_steps,
    "NaN in pass one leaves w alone": frame.nan_in_pass_one,
    "closure raises at w + ε: w comes back": frame.raises_between,
    "gradient in pass one only: w comes back": frame.gradient_in_pass_one_only,
    "resumes bit for bit from state_dict": frame.resumes,
    "one norm over all tensors": numbers.one_norm_over_all,
    "adaptive: one norm over all tensors": numbers.adaptive,
    "any p-norm": numbers.any_p,
    "final gradient is the paper's": numbers.final_gradient,
    "float16 parameters: norm beyond 65,504": numbers.half_precision,
    "GradScaler: both gradients unscaled": numbers.scaled_steps,
    "GradScaler: overflow in either pass skips": numbers.overflow_skips,
}

#: A variant's cells: by question, then by library.
Cells = dict[str, dict[str, Outcome]]


def main() -> None:
    """Try everybody, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", help="only these, by our names")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every cell there, reasons of passes too")
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", default=peers.default_folder(), help="their environment"
    )
    parser.add_argument("--alone", action="store_true", help="without the peers: nothing is installed")
    options = parser.parse_args()

    torch.set_num_threads(1)  # sums in one order, whoever else is at work
    loaded = {} if options.alone else peers.load(options.peers)
    found: dict[str, Cells] = {}
    for contestant in taking_part(contestants(loaded)):
        variant = contestant.entry.variant
        if options.variants and variant not in options.variants:
            continue
        for question, check in CHECKS.items():
            cells = found.setdefault(variant, {}).setdefault(question, {})
            cells[contestant.library] = tried(check, contestant)
    text = markdown(found, [f"torch {torch.__version__}", *peers.described(loaded)])
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        cells = {v: {q: {k: asdict(o) for k, o in row.items()} for q, row in rows.items()} for v, rows in found.items()}
        options.json.write_text(json.dumps(cells, indent=1, ensure_ascii=False) + "\n")
    if any(row[OURS].verdict == "fail" for rows in found.values() for row in rows.values() if OURS in row):
        sys.exit("One of ours failed.")


def taking_part(everybody: Sequence[Contestant]) -> list[Contestant]:
    """One class of each library per variant: what is left out are other options and other bases of the same."""
    return [
        c
        for c in everybody
        if c.entry.variant != "none"
        and (c.entry.label == c.entry.variant or (c.library, c.entry.base) == ("zij", "AdamW"))
    ]


def tried(check: Callable[[Contestant], Outcome], contestant: Contestant) -> Outcome:
    """The outcome; an experiment that raises is a failure like any other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a peer's, about how it is called
        try:
            return check(contestant)
        except FAILURES as error:
            said = str(error).splitlines() or [""]
            return Outcome("fail", f"{type(error).__name__}: {said[0][:80]}")


def markdown(found: Mapping[str, Cells], conditions: Sequence[str]) -> str:
    """A table for each variant that a peer has too, of the questions that arise for it; the others in a sentence."""
    parts = [", ".join(conditions) + "."]
    alone: list[str] = []
    for variant, rows in found.items():
        libraries = list(dict.fromkeys(library for row in rows.values() for library in row))
        if libraries == [OURS] and all(row[OURS].verdict != "fail" for row in rows.values()):
            alone.append(f"`{variant}`")
            continue
        asked = {q: row for q, row in rows.items() if any(o.verdict in ("pass", "fail") for o in row.values())}
        lines = [
            [variant, *libraries],
            ["---"] * (1 + len(libraries)),
            *([q, *(cell(row[library]) for library in libraries)] for q, row in asked.items()),
        ]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    if alone:
        parts.append(f"No peer has {', '.join(alone)}: ours do right whatever arises for them.")
    return "\n\n".join(parts) + "\n"


def cell(outcome: Outcome) -> str:
    """A few words; why something passed is left to the JSON."""
    words = {"pass": "yes", "fail": "**no**", "not offered": "not offered", "not applicable": ""}[outcome.verdict]
    told = outcome.reason if outcome.verdict in ("fail", "not offered") else ""
    return f"{words}: {told}" if told else words


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError:
        sys.exit("The peers could not be installed; --alone tries ours without them.")
