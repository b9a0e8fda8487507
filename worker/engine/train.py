"""Training, read from top to bottom: build, go on from a checkpoint, epochs, the final measurement, the result."""

import math
import time
from collections.abc import Callable
from functools import partial

from torch import Tensor

from lowland.spec.job import JobSpec
from lowland.spec.reports import EpochEnded, Started
from lowland.spec.resource import Objective
from sam import NonFiniteGradient
from worker.engine.batches import Step
from worker.engine.building import Run, build_run
from worker.engine.checkpoint import Checkpoints
from worker.engine.errors import LossNotFinite
from worker.engine.evaluate import Measured, evaluate
from worker.engine.final import finish
from worker.engine.probe import Probe
from worker.engine.reporting import ProgressMeter
from worker.engine.resuming import restore, save
from worker.engine.schedules import set_learning_rate
from worker.engine.session import Session
from worker.engine.state import EpochSums, TrainingState
from worker.engine.stop import Stopped
from worker.engine.stop_rules import StopRules


def train(spec: JobSpec, session: Session) -> None:
    """Train one spec on a dataset to its end.

    Raises:
        Stopped: the run was asked to stop, and a checkpoint to go on from has been written.
        EngineError: it cannot go on, for a reason with a name.
    """
    run = build_run(spec, session)
    state = TrainingState(
        sums=EpochSums(run.forward.task, run.device), rules=StopRules(rules=spec.stop, objective=run.objective)
    )
    checkpoints = Checkpoints(session, spec)
    restore(run, state, session, checkpoints)
    session.reporter.send(
        Started(
            device=str(run.device),
            precision=run.precision,
            parameters=run.parameters,
            training_samples=len(run.parts.training),
            resumed_step=state.step,
        )
    )
    meter = ProgressMeter(session.reporter, first_step=state.step, steps=run.learning_rate.steps, epochs=spec.epochs)
    try:
        while state.epochs_ended < spec.epochs and state.rules.reason is None:
            _train_epoch(run, state, session, meter=meter, checkpoints=checkpoints)
            _end_epoch(run, state, session, checkpoints)
            if checkpoints.due_at_epoch(state.epochs_ended):
                _save(run, state, session, checkpoints)
        if meter.is_behind:  # a stop rule made a step the last that nobody expected to be
            meter.send(step=state.step, epoch=state.epochs_ended)
        if session.ranks.count > 1:
            # From here on the first rank works alone: what it may need of the others it has to have now.
            _save(run, state, session, checkpoints)
        if session.ranks.is_first:
            finish(run, state, session, objective=_objective(run, state, final=True), checkpoint=checkpoints.last_name)
    except Stopped:
        _save(run, state, session, checkpoints)
        raise


def _train_epoch(
    run: Run, state: TrainingState, session: Session, *, meter: ProgressMeter, checkpoints: Checkpoints
) -> None:
    """Take the steps of the epoch under way that have not been taken yet, as far as the stop rules allow."""
    run.model.train()
    epoch = state.epochs_ended
    taken = state.step - epoch * len(run.batches)
    clock = time.monotonic()
    for step in run.batches.epoch(epoch, skip=taken, forward=run.forward, optimizer=run.optimizer):
        if _time_is_up(state, session, checkpoints, save=partial(_save, run, state, session, checkpoints)):
            break
        loss = _take(run, state, session, step, checkpoints)
        clock, before = time.monotonic(), clock
        state.sums.count(step, number=state.step, loss=loss, seconds=clock - before)
        if meter.due(step=state.step, samples=step.samples):
            _look(run, state, checkpoints)
            meter.send(step=state.step, epoch=epoch + 1)
    _look(run, state, checkpoints)
    state.sums.seconds += time.monotonic() - clock


def _time_is_up(state: TrainingState, session: Session, checkpoints: Checkpoints, *, save: Callable[[], None]) -> bool:
    """Before a step, agreed by all ranks: write a checkpoint that is due; tell whether a stop rule ends the epoch.

    Raises:
        Stopped: the run was asked to stop.
    """
    out_of_time = state.step > 0 and state.rules.is_out_of_time(state.seconds + state.sums.seconds)
    is_due = state.step > 0 and checkpoints.due_by_time()
    stop, out_of_time, is_due = session.ranks.any([session.stop.is_set, out_of_time, is_due])
    if is_due and not stop:
        save()
        (stop,) = session.ranks.any([session.stop.is_set])
    if stop:
        raise Stopped
    return out_of_time


def _take(run: Run, state: TrainingState, session: Session, step: Step, checkpoints: Checkpoints) -> Tensor:
    """One optimizer step; the epoch's last one is looked at closely. Gives its first mean loss."""
    set_learning_rate(run.optimizer, run.learning_rate(state.step))
    is_last = (state.step + 1) % len(run.batches) == 0
    probe = Probe(step.batches[0], run.model, run.optimizer) if is_last else None
    try:
        loss = run.optimizer.step_on(step.for_optimizer(probe), scaler=run.scaler)
    except NonFiniteGradient as error:
        raise _not_finite(run, "the loss or a gradient", state.step + 1, checkpoints) from error
    if run.scaler is not None:
        run.scaler.update()
    if run.averaged is not None:
        run.averaged.update_parameters(run.model)
    state.step += 1
    state.probe = {} if probe is None else probe.metrics(session.ranks)
    return loss


def _end_epoch(run: Run, state: TrainingState, session: Session, checkpoints: Checkpoints) -> None:
    """Measure the weights on the validation part, perhaps select them, ask the stop rules, and report the epoch."""
    began_at = time.monotonic()
    session.ranks.take_buffers_of_first(run.model)
    if run.averaged is not None:
        session.ranks.take_buffers_of_first(run.averaged)
    validation = _validate(run, state, session, checkpoints)
    metrics = state.sums.metrics(session.ranks)
    if validation is not None:
        metrics |= validation.named("validation") | _gap(run.forward.task.score, metrics, validation)
    metrics |= {
        "learning_rate": run.learning_rate(state.step - 1),
        **state.probe,
        "weight_norm_squared": run.weight_norm_squared(),
        "epoch_s": state.sums.seconds + time.monotonic() - began_at,
    }
    state.epochs_ended += 1
    state.seconds += metrics["epoch_s"]
    (out_of_time,) = session.ranks.any([state.rules.is_out_of_time(state.seconds)])
    if state.step < run.learning_rate.steps:  # else there is nothing left to stop
        state.rules.consider(metrics, out_of_time=out_of_time)
    state.sums = EpochSums(run.forward.task, run.device)
    if validation is not None:
        score = validation.metrics[run.forward.task.score]
        state.consider(score=score, weights=run.measured.model.state_dict())
    state.history.append({"epoch": state.epochs_ended, "step": state.step, **metrics})
    is_classification = run.forward.task.score == "accuracy"
    session.reporter.send(
        EpochEnded(
            epoch=state.epochs_ended,
            step=state.step,
            metrics=metrics,
            objective=_objective(run, state, final=False),
            accuracy=metrics.get("validation_accuracy"),
            best_accuracy=state.selected.score if state.selected and is_classification else None,
        )
    )


def _gap(score: str, metrics: dict[str, float], validation: Measured) -> dict[str, float]:
    """How much better the training samples were answered, in train mode and with the epoch's changing weights."""
    trained, validated = metrics.get(f"train_{score}"), validation.metrics.get(score)
    return {} if trained is None or validated is None else {f"{score}_gap": trained - validated}


def _objective(run: Run, state: TrainingState, *, final: bool) -> Objective:
    """The validation score; without a validation part the training loss. At the end that of the selected weights."""
    if state.selected is None:
        losses = [row["train_loss"] for row in state.history]
        return Objective(name=run.objective, value=losses[-1], best=min(losses), direction="minimize")
    best = state.selected.score
    value = best if final else state.history[-1].get(run.objective)
    return Objective(name=run.objective, value=value, best=best, direction="maximize")


def _validate(run: Run, state: TrainingState, session: Session, checkpoints: Checkpoints) -> Measured | None:
    if run.parts.validation is None:
        return None
    measured = evaluate(run.measured, run.parts.validation, run.parts, stop=session.stop, ranks=session.ranks)
    if not math.isfinite(measured.loss):
        raise _not_finite(run, "the loss in evaluation", state.step, checkpoints)
    return measured


def _save(run: Run, state: TrainingState, session: Session, checkpoints: Checkpoints) -> None:
    """Write a checkpoint, unless there is nothing worth going on from or it is there already."""
    if not checkpoints.has(step=state.step, epochs_ended=state.epochs_ended):
        _look(run, state, checkpoints)
        save(run, state, session, checkpoints)


def _look(run: Run, state: TrainingState, checkpoints: Checkpoints) -> None:
    """Make sure that all steps so far went well. This waits for the device, so it is not done at every step."""
    if (step := state.sums.bad_step) is not None:
        raise _not_finite(run, "the loss", step, checkpoints)
    try:
        run.optimizer.raise_if_nonfinite()
    except NonFiniteGradient as error:
        raise _not_finite(run, "a gradient", state.step, checkpoints) from error


def _not_finite(run: Run, what: str, step: int, checkpoints: Checkpoints) -> LossNotFinite:
    return LossNotFinite(what=what, step=step, lr=run.learning_rate(max(step - 1, 0)), checkpoint=checkpoints.last_name)
