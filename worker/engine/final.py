"""The end of a run: the selected weights measured on the test part, this once, and everything handed over."""

import json
from typing import Any

import safetensors.torch

from lowland.networks.tensors import put_tensors
from lowland.spec.models import WEIGHTS_FILES
from lowland.spec.reports import Finished
from lowland.spec.resource import Objective
from worker.engine.artifacts import Artifact, manifest, series, write_artifacts
from worker.engine.building import Run
from worker.engine.in_detail import measure_in_detail
from worker.engine.session import Session
from worker.engine.state import TrainingState


def finish(run: Run, state: TrainingState, session: Session, *, objective: Objective, checkpoint: str | None) -> None:
    """Measure, write the artifacts, report the result.

    Args:
        objective: of the selected weights.
        checkpoint: the last one there is.

    Raises:
        Stopped: the run was asked to stop; gone on with, it measures again.
    """
    selected = state.selected
    if selected is not None:
        put_tensors(run.measured.model, selected.weights)
    detail = measure_in_detail(run, session, step=state.step, checkpoint=checkpoint)
    metrics = {
        **detail.metrics,
        "selected_epoch": float(state.epochs_ended if selected is None else selected.epoch),
    }
    _write(run, state, session, {"objective": objective.model_dump(), "metrics": metrics}, detail.report)
    is_classification = run.forward.task.score == "accuracy"
    validated = selected.score if selected and is_classification else None
    session.reporter.send(
        Finished(
            objective=objective,
            accuracy=validated,
            best_accuracy=validated,
            test_accuracy=metrics.get("test_accuracy"),
            metrics=metrics,
            stop_reason=state.rules.reason,
        )
    )


def _write(run: Run, state: TrainingState, session: Session, results: dict[str, Any], report: dict[str, Any]) -> None:
    # Layout is the device's business, not the file's: the same weights give the same bytes.
    weights = {name: tensor.contiguous() for name, tensor in run.measured.model.state_dict().items()}
    named = safetensors.torch.save(weights, metadata=run.trained().header())
    artifacts = [
        Artifact(WEIGHTS_FILES["best"], "application/octet-stream", named),
        Artifact("evaluation.json", "application/json", (json.dumps(report, allow_nan=False) + "\n").encode()),
        manifest(run.spec, {**run.description(), **results}),
        series(state.history),
    ]
    write_artifacts(session.out, session.reporter, artifacts)
