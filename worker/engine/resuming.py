"""Going on from a checkpoint as if the run had never stopped: what is kept of a run, and how it is put back.

    model, optimizer, scaler, averaged, state     the same on every rank, or the first one's count: those are kept
    ranks                                         of each rank its own: what its variant remembers, the epoch's sums

Random numbers need no state: each is a function of the seed and of the step or epoch it is for.
"""

import io
from collections.abc import Mapping
from typing import Any

import torch

from worker.engine.building import Run
from worker.engine.checkpoint import Checkpoints, first_usable
from worker.engine.errors import CheckpointUnusable
from worker.engine.session import Session
from worker.engine.state import TrainingState


def save(run: Run, state: TrainingState, session: Session, checkpoints: Checkpoints) -> None:
    """Write a checkpoint. With several ranks all have to call this."""
    optimizer = run.optimizer.state_dict()
    own = {"memory": optimizer.pop("memory"), "sums": state.sums.state_dict()}
    everyones = session.ranks.gathered(_packed(own)) if session.ranks.count > 1 else []
    if not session.ranks.is_first:
        checkpoints.left_to_another(step=state.step, epochs_ended=state.epochs_ended)
        return
    checkpoints.write(
        step=state.step,
        epochs_ended=state.epochs_ended,
        contents={
            "model": run.model.state_dict(),
            "optimizer": optimizer,
            "scaler": None if run.scaler is None else run.scaler.state_dict(),
            "averaged": None if run.averaged is None else run.averaged.state_dict(),
            "state": state.state_dict(),
            "ranks": [_unpacked(packed) for packed in everyones] or [own],
        },
    )


def restore(run: Run, state: TrainingState, session: Session, checkpoints: Checkpoints) -> None:
    """Put back the first usable of the session's checkpoints; without any the run starts.

    A rank that the checkpoint does not know takes what another one remembered.

    Raises:
        CheckpointUnusable, CheckpointUnreadable: none of them can be used.
    """
    if not session.resume:
        return
    path, contents = first_usable(session, run.spec)
    checkpoints.resumed_from(path)
    try:
        ranks = contents["ranks"]
        own = ranks[session.ranks.rank % len(ranks)]
        run.model.load_state_dict(contents["model"])
        run.optimizer.load_state_dict({**contents["optimizer"], "memory": own["memory"]})
        if run.scaler is not None:
            run.scaler.load_state_dict(contents["scaler"])
        if run.averaged is not None:
            run.averaged.load_state_dict(contents["averaged"])
        state.load_state_dict(contents["state"])
        state.sums.load_state_dict(own["sums"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointUnusable(path, f"does not fit this engine ({type(error).__name__}: {error})") from error


def _packed(value: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _unpacked(packed: bytes) -> Mapping[str, Any]:
    return torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
