"""What `precision: "auto"` should be on this CPU: passes of our own models in fp32 and in bf16, in turns.

    python benchmarks/precision.py [--turns 15] [--threads 2]

Each model with its defaults on a batch of 128 random images of its usual size, forward and backward, weights in fp32.
Prints milliseconds in both and the median of the ratios, turn by turn, with its quartiles: above 1, bf16 is faster.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.nn.functional as F
from sam_peers.timing import ratios, spread, wall_clock

from lowland.networks import MODELS, ImageShape
from lowland.spec import JobSpec
from worker.engine.device import Precision, autocast, choose_precision, computing

CPU: Final = torch.device("cpu")
BATCH_SIZE: Final = 128
CLASSES: Final = 10
SMALL: Final = ImageShape(channels=1, height=8, width=8)
GREY: Final = ImageShape(channels=1, height=28, width=28)
COLOUR: Final = ImageShape(channels=3, height=32, width=32)
#: Models, and images as of digits, KMNIST or CIFAR-10.
CASES: Final[Sequence[tuple[str, ImageShape]]] = (
    ("cnn", SMALL),
    ("linear", GREY),
    ("mlp", GREY),
    ("cnn", GREY),
    ("resnet9", GREY),
    ("resnet18", COLOUR),
    ("wide-resnet", COLOUR),
    ("vit-tiny", COLOUR),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15, help="of each model; default: 15")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU; default: 2")
    options = parser.parse_args()
    with computing(CPU, deterministic=True, threads=options.threads):
        print(f"{torch.backends.cpu.get_cpu_capability()}, {options.threads} threads\n")
        print("| model | pixels | auto | fp32, ms | bf16, ms | fp32 over bf16 |\n|---|---|---|---|---|---|")
        for name, shape in CASES:
            auto = choose_precision("auto", CPU, shape)
            sides = [_passes(name, shape, precision) for precision in ("fp32", "bf16")]
            fp32, bf16 = zip(*([wall_clock(side) for side in sides] for _ in range(options.turns)), strict=True)
            medians = [spread(times).median for times in (fp32, bf16)]
            row = [name, f"{shape.width} x {shape.height}", auto, *(f"{ms:.2f}" for ms in medians)]
            print(f"| {' | '.join(row)} | {ratios(fp32, bf16)} |", flush=True)


def _passes(name: str, shape: ImageShape, precision: Precision) -> Callable[[], None]:
    """Passes of a model of its own; the first ones, in which kernels are chosen, are over."""
    options = JobSpec.parse({"dataset": "cifar10", "model": name}).model.options()
    torch.manual_seed(0)
    model = MODELS[name](shape, CLASSES, **options)
    model = model.to(memory_format=torch.channels_last)
    inputs = torch.randn(BATCH_SIZE, shape.channels, shape.height, shape.width)
    inputs = inputs.to(memory_format=torch.channels_last)
    targets = torch.randint(0, CLASSES, (BATCH_SIZE,))

    def passes() -> None:
        with autocast(CPU, precision):
            outputs = model(inputs).float()
        model.zero_grad()
        F.cross_entropy(outputs, targets).backward()

    for _ in range(3):
        passes()
    return passes


if __name__ == "__main__":
    main()
