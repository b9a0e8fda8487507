"""Training, read from top to bottom: build, go on from a checkpoint, epochs, the final measurement, the result."""

import math
import time
from pathlib import Path

from lowland.spec.job import JobSpec
from lowland.spec.reports import EpochEnded, Finished, Started
from lowland.spec.resource import Objective
from sam import NonFiniteGradient
from worker.engine.artifacts import write_artifacts
from worker.engine.building import Run, build_run
from worker.engine.checkpoint import Checkpoints, read_checkpoint
from worker.engine.data import Samples
from worker.engine.device import choose_device, computing
from worker.engine.errors import CheckpointUnusable, LossNotFinite
from worker.engine.evaluate import Measured, evaluate
from worker.engine.optim import set_learning_rate
from worker.engine.reporting import ProgressMeter, Reporter
from worker.engine.settings import EngineSettings
from worker.engine.state import EpochSums, TrainingState
from worker.engine.stop import StopFlag, Stopped


def train(
    spec: JobSpec,
    *,
    settings: EngineSettings,
    out: Path,
    reporter: Reporter,
    resume: Path | None,
    keep_all: bool,
    stop: StopFlag,
) -> None:
    """Train one spec to its end.

    Raises:
        Stopped: the run was asked to stop, and a checkpoint to go on from has been written.
        EngineError: it cannot go on, for a reason with a name.
    """
    device = choose_device(spec.resources.device)
    with computing(device, deterministic=spec.deterministic, threads=settings.threads):
        run = build_run(spec, settings=settings, device=device)
        state = TrainingState(sums=EpochSums(device))
        if resume is not None:
            _restore(run, state, resume)
        out.mkdir(parents=True, exist_ok=True)
        checkpoints = Checkpoints(out, spec, reporter, keep_all=keep_all)
        reporter.send(
            Started(
                device=str(device),
                precision=run.precision,
                parameters=run.parameters,
                training_samples=len(run.parts.training),
                resumed_step=state.step,
            )
        )
        meter = ProgressMeter(reporter, first_step=state.step, steps=run.learning_rate.steps, epochs=spec.epochs)
        try:
            while state.epochs_ended < spec.epochs:
                _train_epoch(run, state, meter=meter, checkpoints=checkpoints, stop=stop)
                _end_epoch(run, state, reporter=reporter, stop=stop)
                if checkpoints.due_at_epoch(state.epochs_ended):
                    _save(run, state, checkpoints)
            _finish(run, state, out=out, reporter=reporter, stop=stop)
        except Stopped:
            _save(run, state, checkpoints)
            raise


def _train_epoch(
    run: Run, state: TrainingState, *, meter: ProgressMeter, checkpoints: Checkpoints, stop: StopFlag
) -> None:
    """Take the steps of the epoch under way that have not been taken yet."""
    run.model.train()
    epoch = state.epochs_ended
    clock = time.monotonic()
    for batch in run.batches.epoch(epoch, skip=state.step - epoch * len(run.batches), model=run.model):
        stop.check()
        set_learning_rate(run.optimizer, run.learning_rate(state.step))
        try:
            loss = run.optimizer.step_on(batch)
        except NonFiniteGradient as error:
            raise _not_finite(run, "the loss or a gradient", state.step + 1) from error
        state.step += 1
        clock, before = time.monotonic(), clock
        state.sums.count(
            step=state.step, loss=loss, correct=batch.correct(), samples=len(batch), seconds=clock - before
        )
        if meter.due(step=state.step, samples=len(batch)):
            _look(run, state)
            meter.send(step=state.step, epoch=epoch + 1)
        if checkpoints.due_by_time():
            _save(run, state, checkpoints)
    _look(run, state)
    state.sums.seconds += time.monotonic() - clock


def _end_epoch(run: Run, state: TrainingState, *, reporter: Reporter, stop: StopFlag) -> None:
    """Measure the weights on the validation part, perhaps select them, and report the epoch."""
    began_at = time.monotonic()
    validation = None if run.parts.validation is None else _measure(run, state, run.parts.validation, stop)
    metrics = {
        **state.sums.metrics(),
        "learning_rate": run.learning_rate(state.step - 1),
        "epoch_s": state.sums.seconds + time.monotonic() - began_at,
    }
    state.epochs_ended += 1
    state.sums = EpochSums(run.device)
    if validation is not None:
        metrics |= {"validation_loss": validation.loss, "validation_accuracy": validation.accuracy}
        state.consider(accuracy=validation.accuracy, loss=validation.loss, weights=run.model.state_dict())
    state.history.append({"epoch": state.epochs_ended, "step": state.step, **metrics})
    reporter.send(
        EpochEnded(
            epoch=state.epochs_ended,
            step=state.step,
            metrics=metrics,
            objective=_objective(state, final=False),
            accuracy=None if validation is None else validation.accuracy,
            best_accuracy=None if state.selected is None else state.selected.accuracy,
        )
    )


def _finish(run: Run, state: TrainingState, *, out: Path, reporter: Reporter, stop: StopFlag) -> None:
    """Measure the selected weights on the test part, this once, and hand everything over."""
    selected = state.selected
    if selected is not None:
        # Stopped from here on, the run goes on with this measurement: no step is taken any more.
        run.model.load_state_dict(selected.weights)
    test = _measure(run, state, run.parts.test, stop)
    objective = _objective(state, final=True)
    metrics = {
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "selected_epoch": float(run.spec.epochs if selected is None else selected.epoch),
    }
    write_artifacts(
        out,
        reporter,
        weights=run.model.state_dict(),
        manifest={**run.description(), "objective": objective.model_dump(), "metrics": metrics},
        history=state.history,
    )
    reporter.send(
        Finished(
            objective=objective,
            accuracy=None if selected is None else selected.accuracy,
            best_accuracy=None if selected is None else selected.accuracy,
            test_accuracy=test.accuracy,
            metrics=metrics,
        )
    )


def _objective(state: TrainingState, *, final: bool) -> Objective:
    """Validation accuracy; without a validation part the training loss. At the end that of the selected weights."""
    if state.selected is None:
        losses = [row["train_loss"] for row in state.history]
        return Objective(name="train_loss", value=losses[-1], best=min(losses), direction="minimize")
    best = state.selected.accuracy
    latest = state.history[-1]["validation_accuracy"]
    return Objective(name="validation_accuracy", value=best if final else latest, best=best, direction="maximize")


def _measure(run: Run, state: TrainingState, samples: Samples, stop: StopFlag) -> Measured:
    measured = evaluate(run.model, samples, run.parts.normalise, precision=run.precision, stop=stop)
    if not math.isfinite(measured.loss):
        raise _not_finite(run, "the loss in evaluation", state.step)
    return measured


def _save(run: Run, state: TrainingState, checkpoints: Checkpoints) -> None:
    """Write a checkpoint, unless there is nothing worth going on from."""
    _look(run, state)
    checkpoints.write(
        step=state.step,
        epochs_ended=state.epochs_ended,
        model=run.model.state_dict(),
        optimizer=run.optimizer.state_dict(),
        state=state.state_dict(),
    )


def _restore(run: Run, state: TrainingState, path: Path) -> None:
    contents = read_checkpoint(path, run.spec)
    try:
        run.model.load_state_dict(contents["model"])
        run.optimizer.load_state_dict(contents["optimizer"])
        state.load_state_dict(contents["state"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointUnusable(path, f"does not fit this engine ({type(error).__name__}: {error})") from error


def _look(run: Run, state: TrainingState) -> None:
    """Make sure that all steps so far went well. This waits for the device, so it is not done at every step."""
    if (step := state.sums.bad_step) is not None:
        raise _not_finite(run, "the loss", step)
    try:
        run.optimizer.raise_if_nonfinite()
    except NonFiniteGradient as error:
        raise _not_finite(run, "a gradient", state.step) from error


def _not_finite(run: Run, what: str, step: int) -> LossNotFinite:
    return LossNotFinite(what=what, step=step, lr=run.learning_rate(max(step - 1, 0)))
