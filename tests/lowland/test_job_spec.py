"""The job spec: what it takes, what it makes of it."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowland.spec import JobSpec, SpecInvalid
from lowland.spec.job import Resources
from lowland.spec.models import Resnet9, Resnet18
from lowland.spec.recipes import RECIPES
from lowland.spec.sam import Active, Friendly, Sam
from lowland.spec.schedules import Cosine
from lowland.spec.versions import VERSION


def test_a_dataset_alone_is_a_whole_job() -> None:
    spec = JobSpec.parse({"dataset": "kmnist"})

    assert spec.dataset is not None
    assert spec.dataset.name == "kmnist"
    assert spec.sam == Sam()


def test_the_dataset_s_recipe_goes_before_the_general_defaults_and_after_the_caller() -> None:
    recipe = RECIPES["kmnist"]

    spec = JobSpec.parse({"dataset": "kmnist", "optimizer": {"lr": 0.05}})

    assert spec.model == Resnet9(width=recipe["model"]["width"])
    assert (spec.epochs, spec.label_smoothing) == (recipe["epochs"], 0.1)
    assert spec.optimizer.lr == 0.05


def test_another_model_or_optimizer_than_the_recipe_s_gets_its_own_defaults() -> None:
    spec = JobSpec.parse({"dataset": "kmnist", "model": "resnet18", "optimizer": "adamw"})

    assert spec.model == Resnet18(width=64)
    assert (spec.optimizer.name, spec.optimizer.lr) == ("adamw", 1e-3)


#: Options that a dataset cannot do without.
NEEDED: dict[str, dict[str, Any]] = {"folder": {"path": "flowers"}, "table": {"path": "a.csv", "target": "price"}}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    "sam",
    [
        "sam",
        "none",
        "gsam",
        {"variant": "sam", "p": "inf", "adaptive": True},
        {"variant": "esam", "rho": {"schedule": "cosine", "value": 0.1, "end": 0.05}},
        {"rho": {"schedule": "constant", "value": 0.1}, "active": {"from": 0.5, "every": 2}},
    ],
    ids=str,
)
def test_a_resolved_spec_reads_back_as_itself(name: str, sam: Any) -> None:
    dataset = {"name": name, **NEEDED.get(name, {})}

    spec = JobSpec.parse({"dataset": dataset, "sam": sam, "optimizer": "adamw", "tags": {"team": "vision"}})

    assert JobSpec.parse(json.loads(spec.model_dump_json())) == spec
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("SAM", "sam"),
        ("none", "none"),
        ("SSAMF", "ssam-f"),
        ("ssam_d", "ssam-d"),
        ("FriendlySAM", "friendly"),
        ("IMBSAM", "imbsam"),
        ({"variant": "ImbSAM"}, "imbsam"),
        ("GSAM", "gsam"),
        ("LookSAM", "looksam"),
        ("look-sam", "looksam"),
        ("MSAM", "msam"),
        ("Momentum_SAM", "msam"),
        ("ESAM", "esam"),
        ("Plain", "none"),
    ],
)
def test_variants_go_by_their_classes_names_and_short_forms(said: Any, meant: str) -> None:
    assert JobSpec.parse({"dataset": "digits", "sam": said}).sam.variant == meant


def test_options_without_a_variant_are_sam_s() -> None:
    assert JobSpec.parse({"dataset": "digits", "sam": {"rho": 0.2}}).sam == Sam(rho=0.2)


def test_lambda_is_lmbda() -> None:
    spec = JobSpec.parse({"dataset": "digits", "sam": {"variant": "friendly", "lambda": 0.5}})

    assert spec.sam == Friendly(lmbda=0.5)


def test_infinity_is_written_as_a_string() -> None:
    spec = JobSpec.parse({"dataset": "digits", "sam": {"p": "inf"}})

    assert isinstance(spec.sam, Sam)
    assert spec.sam.p == math.inf
    assert json.loads(spec.model_dump_json())["sam"]["p"] == "inf"


@pytest.mark.parametrize(
    ("said", "resolved"),
    [
        (0.2, 0.2),
        (1, 1.0),
        ({"schedule": "constant", "value": 0.2}, 0.2),
        ({"schedule": "linear", "value": 0.2}, {"schedule": "linear", "value": 0.2, "end": 0.0}),
        ({"schedule": "lr", "value": 0.2, "end": 0.1}, {"schedule": "lr", "value": 0.2, "end": 0.1}),
    ],
    ids=str,
)
def test_a_radius_is_a_number_or_a_schedule_and_one_that_is_constant_a_number(said: Any, resolved: Any) -> None:
    spec = JobSpec.parse({"dataset": "digits", "sam": {"variant": "friendly", "rho": said}})

    assert spec.model_dump()["sam"]["rho"] == resolved
    assert json.loads(spec.model_dump_json())["sam"]["rho"] == resolved


def test_the_steps_a_variant_acts_in_are_named_as_on_the_wire_wherever_they_are_written() -> None:
    spec = JobSpec.parse({"dataset": "digits", "sam": {"active": {"from": 0.5}}})

    assert isinstance(spec.sam, Sam)
    assert (spec.sam.active.from_, spec.sam.active.until, spec.sam.active.every) == (0.5, 1.0, 1)
    assert spec.model_dump()["sam"]["active"] == {"from": 0.5, "until": 1.0, "every": 1}
    assert json.loads(spec.model_dump_json())["sam"]["active"] == {"from": 0.5, "until": 1.0, "every": 1}
    for mode in ("validation", "serialization"):
        assert set(Active.model_json_schema(mode=mode)["properties"]) == {"from", "until", "every"}


def test_momentum_sam_needs_no_momentum_where_its_radius_is_0() -> None:
    bare = {"name": "sgd", "momentum": 0, "nesterov": False}

    assert JobSpec.parse({"dataset": "digits", "sam": {"variant": "msam", "rho": 0}, "optimizer": bare})
    assert JobSpec.parse({"dataset": "digits", "sam": "msam", "optimizer": "adamw"})


@given(epochs=st.integers(1, 10_000))
def test_the_warm_up_is_a_tenth_of_the_run_and_at_most_one_epoch(epochs: int) -> None:
    spec = JobSpec.parse({"dataset": "digits", "epochs": epochs})

    assert spec.schedule == Cosine(warmup_epochs=min(1.0, 0.1 * epochs))


@pytest.mark.parametrize(("device", "expected"), [("auto", "any"), ("cpu", "cpu"), ("cuda", "cuda")])
def test_a_job_is_claimed_by_the_machines_its_device_allows(device: str, expected: str) -> None:
    assert JobSpec.parse({"dataset": "digits", "resources": {"device": device}}).device_class == expected


def test_a_spec_of_the_version_before_is_brought_up_to_date() -> None:
    assert JobSpec.parse({"dataset": "digits", "version": VERSION - 1}) == JobSpec.parse({"dataset": "digits"})


def test_a_stored_spec_is_read_also_when_its_fields_would_not_be_accepted_together_today() -> None:
    conflicting = JobSpec.parse({"dataset": "digits"}).model_copy(
        update={"batch_size": 1, "resources": Resources(world_size=2)}
    )
    text = conflicting.model_dump_json()
    with pytest.raises(SpecInvalid, match="give every process a sample"):
        JobSpec.parse(json.loads(text))

    assert JobSpec.stored(text) == conflicting


def test_the_largest_norm_is_written_as_a_word() -> None:
    """A number in JSON that is beyond a double, which Python reads as infinity, was not meant for that."""
    with pytest.raises(SpecInvalid, match=r'sam\.p: .*give a number >= 1, or "inf"'):
        JobSpec.parse(json.loads('{"dataset": "digits", "sam": {"p": 1e999}}'))
