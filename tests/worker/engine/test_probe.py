"""A close look at a step: its numbers, worked out by hand, and that nothing of the step is changed by it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import sam
from tests.worker.engine.running import UNEVEN, session_in, tiny
from worker.engine.batches import Step
from worker.engine.building import Run, build_run
from worker.engine.probe import Probe
from worker.engine.ranks import ALONE

#: Dropout and BatchNorm: what makes two passes differ.
MODELS = {"dropout": {"name": "mlp", "width": 16, "depth": 1, "dropout": 0.3}, "BatchNorm": {"name": "cnn", "width": 2}}


def _run(out: Path, **fields: Any) -> Run:
    run = build_run(tiny(precision="fp32", **fields), session_in(out))
    run.model.train()
    return run


def _steps(run: Run, count: int = 1) -> list[tuple[Step, Tensor]]:
    """The first steps of the run, each with the state of the random numbers it starts from."""
    steps = run.batches.epoch(0, skip=0, forward=run.forward, optimizer=run.optimizer)
    return [(step, torch.get_rng_state()) for step, _ in zip(steps, range(count), strict=False)]


def _take(run: Run, step: Step, start: Tensor) -> dict[str, float]:
    """Take a step under observation."""
    torch.set_rng_state(start)
    probe = Probe(step.batches[0], run.model, run.optimizer)
    run.optimizer.step_on(step.for_optimizer(probe))
    return probe.metrics(ALONE)


def _mean_loss(run: Run, step: Step, start: Tensor, *, batch: int = 0) -> Tensor:
    torch.set_rng_state(start)
    return step.batches[batch].losses().mean()


def _gradient(run: Run, loss: Tensor) -> Tensor:
    """Of all parameters, in one row."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(run.model.parameters()))])


@torch.no_grad()
def _move(run: Run, eps: Tensor) -> None:
    parameters = list(run.model.parameters())
    for p, e in zip(parameters, eps.split([p.numel() for p in parameters]), strict=True):
        p.add_(e.view(p.shape))


def _tensors(value: object) -> list[Tensor]:
    """All tensors in nested mappings and sequences, in order."""
    match value:
        case Tensor():
            return [value]
        case Mapping():
            return [tensor for inner in value.values() for tensor in _tensors(inner)]
        case list() | tuple():
            return [tensor for inner in value for tensor in _tensors(inner)]
        case _:
            return []


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("p", [2, 4, "inf"])
def test_the_numbers_are_those_of_sam_worked_out_by_hand(tmp_path: Path, p: Any, model: dict[str, Any]) -> None:
    """Of SAM in the p-norm the first-order rise is ρ‖g‖_q, with 1/p + 1/q = 1."""
    rho = 0.05 if p != "inf" else 0.002
    fields = {"sam": {"variant": "sam", "rho": rho, "p": p}, "model": model, "label_smoothing": 0.1}
    observed, by_hand = _run(tmp_path, **fields), _run(tmp_path, **fields)

    seen = _take(observed, *_steps(observed)[0])

    ((step, start),) = _steps(by_hand)
    loss = _mean_loss(by_hand, step, start)
    g = _gradient(by_hand, loss)
    q = 1.0 if p == "inf" else p / (p - 1)
    eps = rho * g.sign() * (g.abs() / g.norm(q)) ** (q - 1)
    _move(by_hand, eps)
    rise = (_mean_loss(by_hand, step, start) - loss).item()
    assert seen == pytest.approx(
        {
            "gradient_norm": g.norm().item(),
            "perturbation_norm": eps.norm().item(),
            "rise": rise,
            "predicted_rise": rho * g.norm(q).item(),
        },
        rel=1e-3,
        abs=1e-6,
    )
    assert rise > 0


def test_with_several_batches_the_first_is_looked_at_where_the_gradient_of_all_has_moved_the_weights(
    tmp_path: Path,
) -> None:
    fields = {"sam": {"variant": "sam", "rho": 0.05}, "accumulate": 3}
    observed, by_hand = _run(tmp_path, **fields), _run(tmp_path, **fields)

    seen = _take(observed, *_steps(observed)[0])

    ((step, start),) = _steps(by_hand)
    losses = [_mean_loss(by_hand, step, start, batch=number) for number in range(3)]
    first, *others = (_gradient(by_hand, loss) for loss in losses)
    whole = torch.stack([first, *others]).mean(0)
    eps = 0.05 * whole / whole.norm()
    _move(by_hand, eps)
    assert seen == pytest.approx(
        {
            "gradient_norm": first.norm().item(),
            "perturbation_norm": 0.05,
            "rise": (_mean_loss(by_hand, step, start) - losses[0]).item(),
            "predicted_rise": (eps @ first).item(),
        },
        rel=1e-3,
        abs=1e-6,
    )


def test_momentum_sam_is_looked_at_where_its_only_pass_is(tmp_path: Path) -> None:
    """Its ε = -ρ v/‖v‖ is there before the gradient is; the first step has no momentum yet."""
    fields = {"sam": {"variant": "msam", "rho": 0.3}}
    observed, by_hand = _run(tmp_path, **fields), _run(tmp_path, **fields)

    first, second = (_take(observed, step, start) for step, start in _steps(observed, 2))

    (step, start), (next_step, next_start) = _steps(by_hand, 2)
    torch.set_rng_state(start)
    by_hand.optimizer.step_on(step.for_optimizer())
    loss = _mean_loss(by_hand, next_step, next_start)
    g = _gradient(by_hand, loss)
    v = torch.cat([by_hand.optimizer.state[p]["momentum_buffer"].flatten() for p in by_hand.model.parameters()])
    eps = -0.3 * v / v.norm()
    _move(by_hand, eps)
    assert set(first) == {"gradient_norm"}
    assert second == pytest.approx(
        {
            "gradient_norm": g.norm().item(),
            "perturbation_norm": 0.3,
            "rise": (_mean_loss(by_hand, next_step, next_start) - loss).item(),
            "predicted_rise": (eps @ g).item(),
        },
        rel=1e-3,
        abs=1e-6,
    )


@pytest.mark.parametrize(
    "variant",
    ["none", {"variant": "sam", "rho": 0.0}, {"variant": "friendly", "active": {"from": 0.9}}],
    ids=["none", "rho 0", "not yet active"],
)
def test_a_step_without_a_perturbation_has_a_gradient_alone(tmp_path: Path, variant: Any) -> None:
    run = _run(tmp_path, sam=variant)

    seen = _take(run, *_steps(run)[0])

    assert set(seen) == {"gradient_norm"}
    assert seen["gradient_norm"] > 0


#: Every variant, with a radius that moves it, and the programs of SAM that go through a batch in other ways.
PROGRAMS: dict[str, dict[str, Any]] = {
    **{name: {"variant": name} for name in sam.VARIANTS},
    "ssam-f": {"variant": "ssam-f", "num_samples": 10},
    "sam, second order": {"variant": "sam", "second_order": True},
    "sam, shards": {"variant": "sam", "shard_size": 5},
}


@pytest.mark.parametrize("accumulate", [1, 2], ids=["one batch", "two batches"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("variant", PROGRAMS.values(), ids=PROGRAMS)
def test_a_step_that_is_looked_at_is_the_step_that_is_not(
    tmp_path: Path, variant: dict[str, Any], model: dict[str, Any], accumulate: int
) -> None:
    """Weights, BatchNorm's statistics, momentum, random numbers and what was said of the samples, bit for bit."""
    fields = {"sam": variant, "model": model, "dataset": {**UNEVEN, "augment": "shift"}, "accumulate": accumulate}
    ends: list[list[Tensor]] = []
    for is_looked_at in (True, False):
        run = _run(tmp_path, **fields)
        tally = run.forward.task.tally()
        losses: list[Tensor] = []
        for step, start in _steps(run, 2):
            torch.set_rng_state(start)
            probe = Probe(step.batches[0], run.model, run.optimizer) if is_looked_at else None
            losses.append(run.optimizer.step_on(step.for_optimizer(probe)))
            step.count_into(tally)
        state = [run.model.state_dict(), run.optimizer.state_dict(), losses, tally, torch.get_rng_state()]
        ends.append(_tensors(state))

    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize("variant", [v for v in PROGRAMS.values() if v["variant"] != "none"], ids=str)
def test_every_variant_has_a_perturbation_to_look_at(tmp_path: Path, variant: dict[str, Any]) -> None:
    """LookSAM's first step is one of those that look; MSAM's first is not."""
    run = _run(tmp_path, sam=variant, dataset=UNEVEN)
    steps = _steps(run, 2 if variant["variant"] == "msam" else 1)

    *_, seen = (_take(run, step, start) for step, start in steps)

    assert set(seen) == {"gradient_norm", "perturbation_norm", "rise", "predicted_rise"}
    assert all(math.isfinite(value) for value in seen.values())
    assert seen["perturbation_norm"] > 0


def test_weights_that_do_not_take_part_are_passed_over(tmp_path: Path) -> None:
    """One is frozen, one is used by nothing."""
    run = _run(tmp_path, sam={"variant": "sam", "rho": 0.05})
    first, *_ = run.model.parameters()
    first.requires_grad_(False)
    run.model.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
    run.optimizer.add_param_group({"params": [run.model.get_parameter("unused")]})

    seen = _take(run, *_steps(run)[0])

    assert seen["perturbation_norm"] == pytest.approx(0.05, rel=1e-4)
    assert seen["predicted_rise"] == pytest.approx(0.05 * seen["gradient_norm"], rel=1e-3)
