"""The optimizer is what the spec says."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from lowland.errors import SpecInvalid
from lowland.networks import MODELS, ImageShape
from lowland.spec.job import JobSpec
from tests.worker.engine.running import tiny
from worker.engine.errors import OptimizerUnsuited
from worker.engine.muon import MuonWithAdamW
from worker.engine.optim import build_optimizer

BASES: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


@pytest.mark.parametrize(
    "given",
    [
        {"name": "sgd", "lr": 0.3, "momentum": 0.8, "weight_decay": 0.01, "nesterov": False},
        {"name": "adam", "lr": 0.3, "betas": [0.7, 0.9], "eps": 1e-4, "weight_decay": 0.03},
        {"name": "adamw", "lr": 0.3, "betas": [0.8, 0.9], "eps": 1e-5, "weight_decay": 0.02},
        {"name": "rmsprop", "lr": 0.3, "alpha": 0.8, "eps": 1e-5, "momentum": 0.5, "weight_decay": 0.02},
    ],
    ids=lambda given: given["name"],
)
def test_the_base_optimizer_takes_every_field_of_the_spec(given: dict[str, Any]) -> None:
    spec = tiny(optimizer=given)

    optimizer = build_optimizer(spec, nn.Linear(2, 2))

    assert type(optimizer.base_optimizer) is BASES[given["name"]]
    (group,) = optimizer.base_optimizer.param_groups
    fields = spec.optimizer.model_dump(exclude={"name"})
    assert {name: group[name] for name in fields} == fields


def test_the_perturbation_takes_every_field_of_the_spec() -> None:
    spec = tiny(sam={"variant": "sam", "rho": 0.3, "adaptive": True, "eta": 0.2})

    (group,) = build_optimizer(spec, nn.Linear(2, 2)).param_groups

    assert (group["rho"], group["adaptive"], group["eta"]) == (0.3, True, 0.2)


def test_the_perturbation_takes_a_schedule_of_the_spec() -> None:
    schedule = {"schedule": "cosine", "value": 0.3, "end": 0.1}
    spec = tiny(sam={"variant": "friendly", "rho": schedule, "active": {"from": 0.5, "every": 2}})

    optimizer = build_optimizer(spec, nn.Linear(2, 2))

    assert [group["rho"] for group in optimizer.param_groups] == [schedule]
    assert str({"from": 0.5, "until": 1.0, "every": 2}) in repr(optimizer)


class _Steep:
    """One sample whose loss has a gradient of norm 1000."""

    def __init__(self, weights: torch.Tensor) -> None:
        self._weights = weights
        self.labels = torch.tensor([0])

    def __len__(self) -> int:
        return 1

    def losses(self, part: torch.Tensor | None = None) -> torch.Tensor:
        return 1000.0 * self._weights.sum().reshape(1)


@pytest.mark.parametrize("variant", ["none", "sam"])
def test_the_final_gradient_is_clipped_to_the_norm_given(variant: str) -> None:
    model = nn.Linear(1, 1, bias=False)
    plain_sgd = {"name": "sgd", "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False}
    spec = tiny(sam=variant, clip_norm=0.25, optimizer=plain_sgd)
    before = model.weight.item()

    build_optimizer(spec, model).step_on(_Steep(model.weight))

    assert before - model.weight.item() == pytest.approx(0.25, rel=1e-4)


def _mlp() -> nn.Module:
    torch.manual_seed(0)
    return MODELS["mlp"](ImageShape(channels=1, height=4, width=4), 3, width=8, depth=3, dropout=0.0)


def test_muon_takes_the_hidden_matrices_and_adamw_everything_else() -> None:
    model = _mlp()
    spec = tiny(model={"name": "mlp", "width": 8, "depth": 3}, optimizer={"name": "muon", "lr": 0.01, "momentum": 0.9})

    base = build_optimizer(spec, model).base_optimizer

    assert isinstance(base, MuonWithAdamW)
    muon, adamw = base.param_groups
    weights = [p for p in model.parameters() if p.dim() == 2]
    assert [id(p) for p in muon["params"]] == [id(p) for p in weights[:-1]]
    assert (muon["lr"], muon["momentum"], adamw["lr"]) == (0.01, 0.9, 0.01)
    assert {id(p) for p in adamw["params"]} == {id(p) for p in model.parameters()} - {id(p) for p in muon["params"]}


def test_muon_with_adamw_steps_as_the_two_would_alone() -> None:
    together, apart = _mlp(), _mlp()
    options: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.01}
    spec = tiny(sam="none", model={"name": "mlp", "width": 8, "depth": 3}, optimizer={"name": "muon", **options})
    optimizer = build_optimizer(spec, together)
    hidden = [p for p in apart.parameters() if p.dim() == 2][:-1]
    others = [p for p in apart.parameters() if all(p is not h for h in hidden)]
    pair = [
        torch.optim.Muon(hidden, momentum=0.95, adjust_lr_fn="match_rms_adamw", **options),
        torch.optim.AdamW(others, **options),
    ]
    x, y = torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])

    for _ in range(3):
        for model in (together, apart):
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        for one in pair:
            one.step()

    for ours, theirs in zip(together.parameters(), apart.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_muon_goes_on_from_its_state() -> None:
    spec = tiny(sam="sam", model={"name": "mlp", "width": 8, "depth": 3}, optimizer="muon")
    x, y = torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])

    def loss(model: nn.Module) -> torch.Tensor:
        model.zero_grad()
        value = nn.functional.cross_entropy(model(x), y)
        value.backward()
        return value

    whole = _mlp()
    first = build_optimizer(spec, whole)
    first.step(lambda: loss(whole))
    resumed = _mlp()
    resumed.load_state_dict(whole.state_dict())
    second = build_optimizer(spec, resumed)
    second.load_state_dict(deepcopy(first.state_dict()))
    for model, optimizer in ((whole, first), (resumed, second)):
        optimizer.step(lambda model=model: loss(model))

    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_muon_is_refused_where_a_model_has_no_hidden_matrix() -> None:
    with pytest.raises(SpecInvalid, match=r'optimizer.name is "muon", .* model "cnn" has none'):
        JobSpec.parse({"dataset": "digits", "model": "cnn", "optimizer": "muon"})
    with pytest.raises(OptimizerUnsuited, match="no hidden weight matrix"):
        build_optimizer(tiny(model={"name": "mlp", "depth": 1}, optimizer="muon"), nn.Linear(2, 2))
