"""What the engine costs: beside scripts written by hand, at its start, and in memory.

Run `python benchmarks/engine.py`; `--tables throughput` for one of the tables:

    start        seconds from the fork, warm, until the first step begins, decoded data cached         target: < 0.3
    throughput   of the engine's training loop, beside a bare loop over the same tensors               target: >= 0.98
    usual        time of a script as in tutorials over the engine's, for the same recipe, SAM in every step
    seed-way     time of a script with the seed's recipe on our recipe's model over the engine's       target: >= 3
    seed         the same for the seed's recipe on its own model                                       target: >= 25
    memory       most memory beyond the runtime, beside what `lowland.spec.estimate` says              target: <= 1.3

The recipe is examples/kmnist-sam.json, the seed's is examples/seed-kmnist.json; the data are KMNIST, looked for as the
engine does it. Sides take their turns step by step in one process; a ratio is the median over turns with its quartiles.
Times are CPU time where torch has one thread, else wall time.

Times to an accuracy are extrapolated from those of single steps, with and without the second pass as the recipe has
them, to all epochs of both recipes. With `--train N` the epochs are counted instead: both sides are trained until their
validation accuracy is `--target`, the script for at most N epochs, which then are a lower bound; with 0 the engine
alone, and the script is taken to need all of its recipe. The recipe is whole with fewer epochs too: `--epochs`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from sam_peers.timing import Spread, ratios, spread

import worker.engine
from benchmarks.engine_speed.memory import memory
from benchmarks.engine_speed.scripts import Bare, Usual, as_the_seed, in_the_seeds_way, parts_of, usual
from benchmarks.engine_speed.start import starts
from benchmarks.engine_speed.turns import take_turns
from lowland.spec import JobSpec
from lowland.spec.job import Stop
from lowland.spec.reports import EpochEnded, read_report
from lowland.spec.sam import Plain
from worker.engine.errors import EngineError

EXAMPLES: Final = Path(__file__).resolve().parent.parent / "examples"
MB: Final = 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), help="only these")
    parser.add_argument("--steps", type=int, default=30, help="turns of each comparison; default: 30")
    parser.add_argument("--starts", type=int, default=10, help="how often the engine is started; default: 10")
    parser.add_argument(
        "--train", type=int, metavar="N", help="count epochs by training, scripts for at most N; 0: ours"
    )
    parser.add_argument("--epochs", type=int, default=recipe().epochs, help="of our recipe; default: all it has")
    parser.add_argument("--target", type=float, default=0.98, help="validation accuracy they are trained to")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; one is the steadiest")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    clock = "CPU time" if options.threads == 1 else "wall time"
    print(f"torch {torch.__version__}, threads {options.threads}, {clock}, load {os.getloadavg()[0]:.1f}")
    for name in options.tables:
        for line in TABLES[name](options):
            print(f"{name:10}  {line}", flush=True)


def recipe(name: str = "kmnist-sam", **changes: object) -> JobSpec:
    """An example, without checkpoints by time, which would look like turns."""
    given = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return JobSpec.parse({**given, "checkpoint_every_s": None, **changes})


def start(options: argparse.Namespace) -> Iterator[str]:
    """How soon the first step is taken."""
    found = starts(recipe(), times=options.starts, threads=options.threads)
    begun = spread([one.built for one in found])
    yield judged(f"first step begun after {begun} s", begun.median < 0.3, "< 0.3")
    yield f"first step taken after {spread([one.first_step for one in found])} s"


def throughput(options: argparse.Namespace) -> Iterator[str]:
    """The engine's samples per second over those of a bare loop."""
    for variant in ("none", "sam"):
        spec = recipe(sam=variant)  # in every step, whatever part of the run the recipe has it act in
        taken = take_turns(spec, Bare(spec), steps=options.steps)
        found = ratios(taken.script, taken.engine)
        speed = 1 / spread(taken.engine).median
        yield judged(
            f"{variant}: {found} of a bare loop, ± {1.96 * found.error:.3f}; {speed:.0f} samples/s",
            found.median >= 0.98,
            ">= 0.98",
        )


def beside_usual(options: argparse.Namespace) -> Iterator[str]:
    """The recipe, written as in tutorials."""
    spec = recipe(sam="sam")  # in every step, as the script has it
    taken = take_turns(spec, usual(spec), steps=options.steps)
    found = ratios(taken.script, taken.engine)
    yield f"{found} times the engine's time, ± {1.96 * found.error:.3f}: a sample, and so to any accuracy"


def in_seeds_way(options: argparse.Namespace) -> Iterator[str]:
    """The seed's recipe on our model."""
    seed = recipe("seed-kmnist")
    return compared(options, lambda: in_the_seeds_way(seed, recipe()), seed, target=3)


def beside_seed(options: argparse.Namespace) -> Iterator[str]:
    """The seed's recipe on its model."""
    seed = recipe("seed-kmnist")
    return compared(options, lambda: as_the_seed(seed), seed, target=25)


def compared(options: argparse.Namespace, make: Callable[[], Usual], spec: JobSpec, *, target: float) -> Iterator[str]:
    """A script's time to an accuracy over the engine's: of a sample, times the samples that each has to see."""
    ours, script = recipe(epochs=options.epochs), make()
    found: list[Spread] = []
    for variant, passes in (("none", "one pass"), ("sam", "two passes")):
        taken = take_turns(recipe(sam=variant), script, steps=options.steps)
        ratio = ratios(taken.script, taken.engine)
        yield f"{ratio} times the engine's time a sample, ± {1.96 * ratio.error:.3f}, where it makes {passes}"
        found.append(ratio)
    epochs, theirs, said = ours.epochs, spec.epochs, "all epochs of both recipes"
    if options.train is not None:
        epochs = engine_epochs(options.target, options.epochs)
        said = f"ours to {100 * options.target:g} % on validation, theirs all of its recipe"
    if options.train:
        theirs, reached = script_epochs(make(), target=options.target, most=options.train)
        said = f"to {100 * options.target:g} % on validation" if reached else "the script did not get there: at least"
    perturbed = perturbed_share(ours, epochs)
    more = theirs * script.samples / (epochs * len(parts_of(ours).training))
    whole = more / ((1 - perturbed) / found[0].median + perturbed / found[1].median)
    yield judged(
        f"{whole:.1f} times the engine's time, extrapolated: {theirs} epochs against {epochs} ({said})",
        whole >= target,
        f">= {target:g}",
    )


def perturbed_share(spec: JobSpec, epochs: int) -> float:
    """Of the steps of a job's first epochs: those that perturb."""
    if isinstance(spec.sam, Plain):
        return 0.0
    active = spec.sam.active
    until = min(active.until * spec.epochs, epochs)
    return max(0.0, until - active.from_ * spec.epochs) / (epochs * active.every)


@cache
def engine_epochs(target: float, most: int) -> int:
    """Epochs until the recipe's validation accuracy is the target; ends the program where it never is."""
    stopping = recipe(epochs=most).model_copy(update={"stop": Stop(target=target)})
    reports = BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        if status := worker.engine.run(stopping, out=Path(folder), reports=reports):
            sys.exit(f"the engine ended with status {status}")
    ended = [r for r in map(read_report, reports.getvalue().splitlines()) if isinstance(r, EpochEnded)]
    if not ended or (ended[-1].accuracy or 0.0) < target:
        sys.exit(f"the recipe does not get to {target:g} on its validation part; give a smaller --target")
    return len(ended)


def script_epochs(script: Usual, *, target: float, most: int) -> tuple[int, bool]:
    """Epochs until a script's validation accuracy is the target, and whether it got there."""
    for number in range(1, most + 1):
        accuracy = script.epoch()
        print(f"  script, epoch {number}: validation {100 * accuracy:.2f} %", flush=True)
        if accuracy >= target:
            return number, True
    return most, False


def most_memory(options: argparse.Namespace) -> Iterator[str]:
    """What a job takes beyond the runtime, over the estimate: in an epoch, whose last step is looked at closely."""
    for kind, spec in {
        "most of it activations": recipe(sam="sam", epochs=1, schedule="constant"),
        "most of it weights": JobSpec.parse(
            {
                "dataset": {"name": "digits", "limit": 400},
                "model": {"name": "mlp", "width": 4096, "depth": 4},
                "sam": "sam",
                "optimizer": {"name": "sgd", "lr": 0.01},
                "epochs": 2,
            }
        ),
    }.items():
        with tempfile.TemporaryDirectory() as folder:
            found = memory(spec, Path(folder), threads=options.threads)
        said = found.estimate
        parts = {
            "model": said.model_bytes, "data": said.data_bytes, "optimizer": said.optimizer_bytes,
            "activations": said.activation_bytes,
        }  # fmt: skip
        shown = ", ".join(f"{name} {(size or 0) / MB:.1f}" for name, size in parts.items())
        yield f"{kind}: estimated {(said.total_bytes or 0) / MB:.0f} MB: {shown}"
        yield f"peak {found.peak / MB:.0f} MB, of which {found.runtime / MB:.0f} the runtime alone"
        yield judged(f"{found.ratio:.2f} of the estimate beyond the runtime", found.ratio <= 1.3, "<= 1.3")


def judged(text: str, met: bool, target: str) -> str:
    """A line with its target."""
    return f"{text}  [{target}: {'met' if met else 'missed'}]"


#: Tables by name, in the order in which they are measured.
TABLES: Final[Mapping[str, Callable[[argparse.Namespace], Iterator[str]]]] = MappingProxyType(
    {
        "start": start,
        "throughput": throughput,
        "usual": beside_usual,
        "seed-way": in_seeds_way,
        "seed": beside_seed,
        "memory": most_memory,
    }
)


if __name__ == "__main__":
    try:
        main()
    except EngineError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # it has said why
