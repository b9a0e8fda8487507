"""Measuring a model on a part of the data."""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import nn

from worker.engine.data import Samples
from worker.engine.data.parts import Normaliser
from worker.engine.device import Precision, autocast
from worker.engine.stop import StopFlag

#: Images per forward pass: few enough to stay in a CPU's cache, enough to keep a GPU busy.
BATCH_SIZE: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a model does on some samples."""

    loss: float
    """Mean cross-entropy, without label smoothing."""
    accuracy: float


@torch.no_grad()
def evaluate(
    model: nn.Module, samples: Samples, normalise: Normaliser, *, precision: Precision, stop: StopFlag
) -> Measured:
    """Measure loss and accuracy in eval mode; the model is left in it.

    Raises:
        Stopped: the run was asked to stop; nothing has changed.
    """
    model.eval()
    device = samples.labels.device
    loss = torch.zeros((), dtype=torch.float64, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    for images, labels in zip(samples.images.split(BATCH_SIZE), samples.labels.split(BATCH_SIZE), strict=True):
        stop.check()
        with autocast(device, precision):
            logits = model(normalise(images))
        loss += F.cross_entropy(logits.float(), labels, reduction="sum")
        correct += (logits.argmax(1) == labels).sum()
    return Measured(loss=float(loss) / len(samples), accuracy=int(correct) / len(samples))
