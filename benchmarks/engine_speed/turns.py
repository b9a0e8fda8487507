"""Turns: the engine's own training loop and another script, one step each in alternation, in one process.

The loop asks before every step whether it was told to stop. Whoever answers there has it at a point where its state is
whole, can let another script take a step, and take the times of both. Noise of the machine then meets both alike.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, Protocol

import torch

from lowland.spec import JobSpec
from worker.engine.device import computing
from worker.engine.reporting import Reporter
from worker.engine.session import Session
from worker.engine.settings import EngineSettings
from worker.engine.stop import StopFlag, Stopped
from worker.engine.train import train

#: Steps in which memory is asked for and kernels are chosen; they are not counted.
WARM_UP: Final = 3


class Script(Protocol):
    """A training script that can be led step by step."""

    def step(self) -> int:
        """Take a step; gives the samples it was on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Seconds per sample of each counted step, turn by turn."""

    engine: Sequence[float]
    script: Sequence[float]


class _Turns(StopFlag):
    """Tells the loop to go on until there were enough steps; between two of them the script has its turn."""

    def __init__(self, script: Script, clock: Callable[[], float], *, batch_size: int, steps: int) -> None:
        super().__init__()
        self.engine: list[float] = []
        self.script: list[float] = []
        self._script = script
        self._clock = clock
        self._batch_size = batch_size
        self._steps = steps
        self._began_at: float | None = None

    @property
    def is_set(self) -> bool:
        now = self._clock()
        if self._began_at is not None:
            self.engine.append((now - self._began_at) / self._batch_size)
        samples = self._script.step()
        self._began_at = self._clock()
        self.script.append((self._began_at - now) / samples)
        return len(self.engine) >= self._steps


def take_turns(spec: JobSpec, script: Script, *, steps: int) -> Taken:
    """Train a job as the engine does, on the CPU, with a script taking a step before each of the engine's.

    The engine's time holds all it does from step to step: the batch, the schedule, the sums, its reports. torch is set
    up for the engine's job, for both sides.

    Args:
        steps: to be counted, fewer than an epoch has: a step that ends one counts its validation too.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    turns = _Turns(script, clock, batch_size=spec.batch_size, steps=steps + WARM_UP)
    device = torch.device("cpu")
    with tempfile.TemporaryDirectory() as folder, computing(device, deterministic=spec.deterministic, threads=None):
        session = Session(
            settings=EngineSettings(),
            device=device,
            out=Path(folder),
            reporter=Reporter(BytesIO()),  # reports are written as in a job, and read by nobody
            stop=turns,
        )
        with contextlib.suppress(Stopped):  # there were enough steps
            train(spec, session)
    return Taken(engine=turns.engine[WARM_UP:], script=turns.script[WARM_UP : len(turns.engine)])
