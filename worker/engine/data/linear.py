"""linear: y = Xw + b + noise, made up from a seed of its own.

The training set has as many samples as the spec says. The test part is drawn beside it from the same w and b, so that
the whole training set can be trained on and measured.
"""

import torch
from torch import Tensor

from lowland.spec.datasets import LinearData
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.randomness import generator_for
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings


def load(spec: LinearData, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
    """Draw it; the same for the same spec on every machine."""
    generator = generator_for(spec.data_seed, "linear: w and b")
    weights = torch.randn(spec.variables, generator=generator)
    bias = torch.randn((), generator=generator)
    return Dataset(
        train=_drawn(spec, spec.samples, "training set", weights, bias),
        test=_drawn(spec, max(1, spec.samples // 4), "test part", weights, bias),
        classes=None,
    )


def _drawn(spec: LinearData, count: int, part: str, weights: Tensor, bias: Tensor) -> Samples:
    generator = generator_for(spec.data_seed, f"linear: {part}")
    features = torch.randn((count, spec.variables), generator=generator)
    noise = torch.randn(count, generator=generator)
    return Samples(source=features, targets=features @ weights + bias + spec.noise * noise)
