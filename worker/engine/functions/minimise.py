"""Minimising a function, read from top to bottom: build, go on from a checkpoint, steps, the result.

Everything is computed in float64 on the CPU, whatever the job's device: a step of a few numbers is over before a GPU
has begun.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from lowland.spec.expressions import Expression
from lowland.spec.functions import Named, Point, read_function
from lowland.spec.job import JobSpec
from lowland.spec.reports import EpochEnded, Finished, Started
from lowland.spec.resource import Objective
from lowland.spec.show import shown
from sam import Batch, NonFiniteGradient, SamOptimizer
from worker.engine.checkpoint import Checkpoints, first_usable
from worker.engine.errors import CheckpointUnusable, LossNotFinite, SpecUnusable
from worker.engine.functions import function_of
from worker.engine.functions.point import MovingPoint
from worker.engine.functions.result import write_result
from worker.engine.functions.trail import Place, Trail
from worker.engine.optim import build_optimizer
from worker.engine.reporting import ProgressMeter
from worker.engine.schedules import LearningRate, set_learning_rate
from worker.engine.session import Session
from worker.engine.stop import Stopped
from worker.engine.stop_rules import StopRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What moves, down what, driven by what."""

    spec: JobSpec
    known: Named | Expression
    minima: list[Point]
    point: MovingPoint
    optimizer: SamOptimizer
    learning_rate: LearningRate
    trail: Trail
    rules: StopRules

    @property
    def kept(self) -> Mapping[str, MovingPoint | SamOptimizer | Trail | StopRules]:
        """What changes while it goes on: all of it is in a checkpoint."""
        return {"model": self.point, "optimizer": self.optimizer, "trail": self.trail, "rules": self.rules}


def minimise(spec: JobSpec, session: Session) -> None:
    """Minimise one spec's function to its last step.

    Raises:
        Stopped: the run was asked to stop, and a checkpoint to go on from has been written.
        EngineError: it cannot go on, for a reason with a name.
    """
    run = _build(spec)
    checkpoints = Checkpoints(session, spec)
    if session.resume:
        _restore(run, session, checkpoints)
    else:
        _begin(run)
    session.reporter.send(
        Started(
            device="cpu",
            precision="fp64",
            parameters=run.point.x.numel(),
            training_samples=0,
            resumed_step=run.trail.step,
        )
    )
    try:
        _take_steps(run, session, checkpoints)
    except Stopped:
        _save(run, checkpoints)
        raise
    _finish(run, session)


def _build(spec: JobSpec) -> Run:
    if spec.function is None or spec.start is None or spec.steps is None:
        raise SpecUnusable("function, start or steps is missing; give all three")
    known = read_function(spec.function)
    point = MovingPoint(function_of(known), tuple(spec.start))
    optimizer = build_optimizer(spec, point)
    optimizer.plan(steps=spec.steps, seed=spec.seed)
    return Run(
        spec=spec,
        known=known,
        minima=known.minima(len(spec.start)) if isinstance(known, Named) else [],
        point=point,
        optimizer=optimizer,
        # One run is one epoch to whatever counts in epochs.
        learning_rate=LearningRate.of(spec.schedule, peak=spec.optimizer.lr, epochs=1, steps_per_epoch=spec.steps),
        trail=Trail(variables=len(spec.start), steps=spec.steps),
        rules=StopRules(rules=spec.stop, objective="value"),
    )


def _begin(run: Run) -> None:
    start = run.point.place(step=0, learning_rate=math.nan)
    if not start.is_finite:
        raise SpecUnusable(
            f"function is {shown(run.spec.function)} and start is {shown(run.spec.start)}, where its value or its "
            "gradient is NaN or infinite; give another start"
        )
    run.trail.add(start)


def _take_steps(run: Run, session: Session, checkpoints: Checkpoints) -> None:
    """Take those that have not been taken yet, as far as the stop rules allow."""
    batch = run.point.batch()
    steps = run.learning_rate.steps
    meter = ProgressMeter(session.reporter, first_step=run.trail.step, steps=steps, epochs=1)
    clock = time.monotonic()
    while run.trail.step < steps and run.rules.reason is None:
        session.stop.check()
        place = _take(run, batch, run.trail.step, checkpoints)
        run.trail.add(place)
        clock, before = time.monotonic(), clock
        run.trail.seconds += clock - before
        if place.step < steps:  # else there is nothing left to stop
            run.rules.consider({"value": place.value}, out_of_time=run.rules.is_out_of_time(run.trail.seconds))
        if meter.due(step=place.step, samples=1) or run.rules.reason is not None:
            meter.send(step=place.step, epoch=1)
            session.reporter.send(_progress(run, place))
        if checkpoints.due_by_time():
            _save(run, checkpoints)


def _take(run: Run, batch: Batch, step: int, checkpoints: Checkpoints) -> Place:
    """The step with this number, from 0, and where it led."""
    lr = run.learning_rate(step)
    set_learning_rate(run.optimizer, lr)
    what = "function or its gradient"
    try:
        run.optimizer.step_on(batch)
    except NonFiniteGradient as error:
        raise LossNotFinite(what=what, step=step + 1, lr=lr, checkpoint=checkpoints.last_name) from error
    place = run.point.place(step=step + 1, learning_rate=lr)
    if not place.is_finite:
        raise LossNotFinite(what=what, step=step + 1, lr=lr, checkpoint=checkpoints.last_name)
    return place


def _progress(run: Run, place: Place) -> EpochEnded:
    return EpochEnded(
        epoch=None,
        step=place.step,
        metrics=_metrics(run, place),
        objective=_objective(run, place),
        accuracy=None,
        best_accuracy=None,
    )


def _finish(run: Run, session: Session) -> None:
    """Hand everything over."""
    end = run.trail.places()[-1]
    objective, metrics = _objective(run, end), _metrics(run, end)
    write_result(
        session,
        spec=run.spec,
        known=run.known,
        minima=run.minima,
        trail=run.trail,
        outcome={"objective": objective.model_dump(), "metrics": metrics},
    )
    session.reporter.send(
        Finished(
            objective=objective,
            accuracy=None,
            best_accuracy=None,
            test_accuracy=None,
            metrics=metrics,
            stop_reason=run.rules.reason,
        )
    )


def _metrics(run: Run, place: Place) -> dict[str, float]:
    metrics = {
        "value": place.value,
        "best_value": run.trail.best_value,
        "gradient_norm": place.gradient_norm,
        "learning_rate": place.learning_rate,
    }
    if run.minima:
        metrics["distance_to_minimum"] = min(math.dist(place.x, minimum) for minimum in run.minima)
    return metrics


def _objective(run: Run, place: Place) -> Objective:
    return Objective(name="value", value=place.value, best=run.trail.best_value, direction="minimize")


def _save(run: Run, checkpoints: Checkpoints) -> None:
    if checkpoints.has(step=run.trail.step, epochs_ended=0):
        return
    contents = {name: part.state_dict() for name, part in run.kept.items()}
    checkpoints.write(step=run.trail.step, epochs_ended=0, contents=contents)


def _restore(run: Run, session: Session, checkpoints: Checkpoints) -> None:
    path, contents = first_usable(session, run.spec)
    checkpoints.resumed_from(path)
    try:
        for name, part in run.kept.items():
            part.load_state_dict(contents[name])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointUnusable(path, f"does not fit this engine ({type(error).__name__}: {error})") from error
