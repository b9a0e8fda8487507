"""The final measurement on the test part: the metrics, a report in detail, and the same on damaged images."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from worker.engine.building import Run
from worker.engine.data.corruptions import damaged
from worker.engine.detail import Detail
from worker.engine.detail_regression import RegressionDetail
from worker.engine.errors import LossNotFinite
from worker.engine.evaluate import Alter, Measured, evaluate
from worker.engine.ranks import ALONE
from worker.engine.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class InDetail:
    """What was measured."""

    metrics: dict[str, float]
    """Named after the test part: "test_accuracy" and so on."""
    report: dict[str, Any]
    """Everything, in JSON's types."""


def measure_in_detail(run: Run, session: Session, *, step: int, checkpoint: str | None) -> InDetail:
    """Measure the weights as they are, after so many steps, the last of them kept in a checkpoint or not.

    Raises:
        Stopped: the run was asked to stop.
        LossNotFinite: they overflow here, if not in training.
    """
    told = _Classes(run) if run.parts.classes is not None else _Values(run)
    measured = evaluate(run.measured, run.parts.test, run.parts, stop=session.stop, ranks=ALONE, watchers=[told])
    _check(run, measured, "the loss on the test part", step, checkpoint)
    metrics = {**measured.named("test"), **told.scalars()}
    report: dict[str, Any] = {"test": told.report()}
    wanted = run.spec.evaluate
    if wanted is not None:
        report["corruptions"] = {}
        for name in wanted.corruptions:
            found = evaluate(
                run.measured,
                run.parts.test,
                run.parts,
                stop=session.stop,
                ranks=ALONE,
                alter=_damage(run, name, wanted.severity),
            )
            _check(run, found, f"the loss on test images with {name}", step, checkpoint)
            report["corruptions"][name] = {"severity": wanted.severity, "loss": found.loss, **found.metrics}
            metrics |= found.named(f"test_{name}")
    return InDetail(metrics=metrics, report=report)


def _damage(run: Run, name: str, severity: int) -> Alter:
    mean = run.parts.normalise.mean_pixel
    if mean is None:
        raise TypeError("only images can be damaged")
    return partial(damaged, corruption=name, mean=mean, severity=severity, seed=run.spec.seed)


def _check(run: Run, measured: Measured, what: str, step: int, checkpoint: str | None) -> None:
    if not math.isfinite(measured.loss):
        raise LossNotFinite(what=what, step=step, lr=run.learning_rate(max(step - 1, 0)), checkpoint=checkpoint)


class _Classes:
    """Watches a classifier."""

    def __init__(self, run: Run) -> None:
        self._names = run.parts.classes or ()
        self._counts = run.parts.class_counts or []
        self._detail = Detail(len(self._names), run.device)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        self._detail.add(outputs, targets)

    def scalars(self) -> dict[str, float]:
        return self._detail.scalars(self._counts, part="test")

    def report(self) -> Mapping[str, object]:
        return self._detail.report(self._names, self._counts)


class _Values:
    """Watches a regression."""

    def __init__(self, run: Run) -> None:
        self._scale = run.parts.targets
        self._detail = RegressionDetail(run.device)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        said = outputs[:, 0]
        self._detail.add(said if self._scale is None else self._scale.restore(said), targets)

    def scalars(self) -> dict[str, float]:
        return self._detail.scalars(part="test")

    def report(self) -> Mapping[str, object]:
        return self._detail.report()
