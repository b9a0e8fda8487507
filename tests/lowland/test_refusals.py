"""Mistakes in a spec: each is told with the field, its value and what would be accepted."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowland.spec import JobSpec, SpecInvalid
from lowland.spec.pending import PENDING
from lowland.spec.show import shown

DIGITS = {"dataset": "digits"}
LINEAR = {"dataset": "linear"}
POINT: dict[str, Any] = {"function": "x**2", "start": [1.0]}

#: Fields that are right alone and wrong together.
TOGETHER: list[tuple[dict[str, Any], str, str]] = [
    ({"function": "rosenbrock", "start": [1.0]}, "start", 'start has 1 number and function is "rosenbrock"'),
    ({"function": "x0 + x1", "start": [1.0]}, "start", "which is of 2 variables"),
    ({**POINT, "ema": {"decay": 0.5}}, "ema", "which a function has no use for; leave it out"),
    ({**POINT, "epochs": 3}, "epochs", "epochs is 3, which a function has no use for"),
    ({**POINT, "batch_size": 3}, "batch_size", "batch_size is 3, which a function has no use for"),
    ({**POINT, "model": "mlp"}, "model", 'model is "mlp", which a function has no use for'),
    ({**POINT, "channels_last": False}, "channels_last", "channels_last is false, which a function has no use for"),
    ({**POINT, "resources": {"device": "cuda"}}, "resources.device", 'give "cpu" or "auto"'),
    (
        {**POINT, "schedule": {"name": "cosine", "warmup_epochs": 5}},
        "schedule.warmup_epochs",
        "all steps of a function are one epoch; give the part of them to warm up for, at most 1",
    ),
    ({**POINT, "precision": "bf16"}, "precision", "a function is computed in fp64"),
    ({**LINEAR, "sam": "imbsam"}, "sam.variant", "which needs classes, and the task is regression"),
    ({**POINT, "sam": "imbsam"}, "sam.variant", "which needs classes, and the task is function"),
    ({**LINEAR, "label_smoothing": 0.1}, "label_smoothing", "the task is regression, which has no labels"),
    ({**LINEAR, "model": "cnn"}, "model.name", 'which takes images, and dataset.name is "linear", which has none'),
    ({**LINEAR, "evaluate": {"corruptions": ["blur"]}}, "evaluate.corruptions", "are of images"),
    ({**DIGITS, "model": "cnn", "optimizer": "muon"}, "optimizer.name", 'weight matrices; model "cnn" has none'),
    ({**POINT, "optimizer": "muon"}, "optimizer.name", "weight matrices; a function has none"),
    ({**DIGITS, "sam": {"second_order": True}, "compile": True}, "compile", "leave out sam.second_order, or give"),
    (
        {**DIGITS, "sam": {"shard_size": 8}, "precision": "fp16"},
        "precision",
        'sam.shard_size is 8 and precision is "fp16"',
    ),
    (
        {**DIGITS, "sam": {"shard_size": 8}, "resources": {"world_size": 2}},
        "resources.world_size",
        "sam.shard_size is 8 and resources.world_size is 2",
    ),
    ({**POINT, "resources": {"world_size": 2}}, "resources.world_size", "a function is minimised on one"),
    ({**DIGITS, "batch_size": 3, "resources": {"world_size": 4}}, "batch_size", "give every process a sample"),
    ({**DIGITS, "stop": {}}, "stop.patience", "stop has no rule; give patience, target or max_seconds"),
    (
        {**DIGITS, "stop": {"metric": "validation_r2", "patience": 1}},
        "stop.metric",
        'has no series of; give "train_loss", "validation_accuracy" or "validation_loss"',
    ),
    (
        {"dataset": {"name": "digits", "validation_fraction": 0}, "stop": {"metric": "validation_loss", "patience": 1}},
        "stop.metric",
        'give "train_loss"',
    ),
    ({**DIGITS, "stop": {"target": 98}}, "stop.target", "no validation_accuracy is above 1; give at most 1"),
    ({"dataset": "linear", "stop": {"target": 1.5}}, "stop.target", "no validation_r2 is above 1; give at most 1"),
    ({**POINT, "stop": {"metric": "train_loss", "target": 0.0}}, "stop.metric", 'give "value"'),
    ({**DIGITS, "schedule": {"name": "step", "milestones": [0.5, 0.25]}}, "schedule.milestones", "in ascending order"),
    ({**DIGITS, "evaluate": {"corruptions": ["blur", "blur"]}}, "evaluate.corruptions", "give each once"),
    (
        {**DIGITS, "sam": "msam", "optimizer": "rmsprop"},
        "optimizer.momentum",
        'optimizer.momentum is 0 and sam.variant is "msam"',
    ),
    ({**DIGITS, "model": {"name": "mlp", "pretrained": True}}, "model.pretrained", "mlp has no published weights"),
]

TABLE: list[tuple[dict[str, Any] | list[Any], str]] = [
    ({"dataset": "kminst"}, 'dataset is "kminst", which is not known (did you mean "kmnist"?); give "digits", '),
    ({"dataset": {}}, 'dataset.name is missing; give "digits", "mnist", "kmnist", "fashion-mnist", '),
    ({"dataset": 5}, "dataset is 5; give an object, or a name that stands for one"),
    ({}, "give either dataset or function: neither is there"),
    ([], "the body is []; give an object"),
    ({**DIGITS, "function": "x"}, "give either dataset or function: both are there"),
    ({**DIGITS, "start": [1.0]}, "start and steps belong to function"),
    ({"function": "x"}, "start is missing"),
    ({**DIGITS, "epohcs": 3}, 'epohcs is not a field (did you mean "epochs"?); known here: version, name, '),
    ({**DIGITS, "sam": {"rhoo": 1}}, 'sam.rhoo is not a field (did you mean "rho"?); known here: variant, rho, p'),
    ({**DIGITS, "sam": {"rho": -0.1}}, "sam.rho is -0.1; give a number >= 0"),
    ({**DIGITS, "sam": {"rho": float("nan")}}, 'sam.rho is "nan"; give a finite number'),
    ({**DIGITS, "sam": {"p": 0.5}}, "sam.p is 0.5; give a number >= 1"),
    ({**DIGITS, "sam": "sma"}, 'sam is "sma", which is not known (did you mean "sam"?)'),
    ({**DIGITS, "sam": {"variant": "ssam-f", "sparsity": 1}}, "sam.sparsity is 1; give a number < 1"),
    ({**DIGITS, "sam": {"second_order": True, "p": 3}}, "sam: second_order is true and p is 3; give p = 2"),
    (
        {**DIGITS, "sam": {"second_order": True, "adaptive": True}},
        "sam: second_order is true and adaptive is true; set",
    ),
    (
        {**DIGITS, "sam": {"second_order": True, "shard_size": 8}},
        "sam: second_order is true and shard_size is 8; leave",
    ),
    ({**DIGITS, "sam": "ssam"}, 'sam is "ssam", which is not known'),
    ({**DIGITS, "sam": {"rho": "lr"}}, 'sam.rho is "lr"; give a number, or an object with schedule, value, end'),
    ({**DIGITS, "sam": {"rho": None}}, "sam.rho is null; give a number, or an object with schedule, value, end"),
    (
        {**DIGITS, "sam": {"rho": {"schedule": "cosin", "value": 1}}},
        'sam.rho.schedule is "cosin" (did you mean "cosine"?',
    ),
    (
        {**DIGITS, "sam": {"rho": {"value": 1}}},
        'sam.rho.schedule is missing; give "constant", "linear", "cosine" or "lr"',
    ),
    ({**DIGITS, "sam": {"rho": {"schedule": "lr"}}}, "sam.rho.value is missing"),
    ({**DIGITS, "sam": {"rho": {"schedule": "lr", "value": -1}}}, "sam.rho.value is -1; give a number >= 0"),
    (
        {**DIGITS, "sam": {"rho": {"schedule": "lr", "value": 1, "ende": 0}}},
        "sam.rho.ende is not a field (did you mean ",
    ),
    (
        {**DIGITS, "sam": {"rho": {"schedule": "constant", "value": 1, "end": 0}}},
        'sam.rho: schedule is "constant" and end is 0; leave end out',
    ),
    ({**DIGITS, "sam": {"active": {"from": 1}}}, "sam.active.from is 1; give a number < 1"),
    ({**DIGITS, "sam": {"active": {"until": 1.5}}}, "sam.active.until is 1.5; give a number <= 1"),
    ({**DIGITS, "sam": {"active": {"every": 0}}}, "sam.active.every is 0; give a number >= 1"),
    (
        {**DIGITS, "sam": {"active": {"from_": 0.5}}},
        'sam.active.from_ is not a field (did you mean "from"?); known here: ',
    ),
    (
        {**DIGITS, "sam": {"active": {"from": 0.5, "until": 0.5}}},
        "sam.active: from is 0.5 and until is 0.5; give from <",
    ),
    ({**DIGITS, "sam": {"active": "late"}}, 'sam.active is "late"; give an object'),
    ({**DIGITS, "sam": {"variant": "none", "active": {}}}, "sam.active is not a field; known here: variant"),
    ({**DIGITS, "sam": {"variant": "none", "rho": 0.1}}, "sam.rho is not a field; known here: variant"),
    ({**DIGITS, "sam": {"variant": "looksam", "k": 0}}, "sam.k is 0; give a number >= 1"),
    ({**DIGITS, "sam": {"variant": "looksam", "k": 2.5}}, "sam.k is 2.5; give an integer"),
    ({**DIGITS, "sam": {"variant": "gsam", "alpha": -1}}, "sam.alpha is -1; give a number >= 0"),
    ({**DIGITS, "sam": {"variant": "esam", "beta": 0}}, "sam.beta is 0; give a number > 0"),
    ({**DIGITS, "sam": {"variant": "esam", "gamma": 1.1}}, "sam.gamma is 1.1; give a number <= 1"),
    (
        {**DIGITS, "sam": "msam", "optimizer": {"momentum": 0, "nesterov": False}},
        'optimizer.momentum is 0 and sam.variant is "msam", which perturbs along the momentum; give momentum > 0',
    ),
    ({**DIGITS, "epochs": "3"}, 'epochs is "3"; give an integer'),
    ({**DIGITS, "epochs": 0}, "epochs is 0; give a number >= 1"),
    ({**DIGITS, "epochs": True}, "epochs is true; give an integer"),
    ({**DIGITS, "seed": 1.5}, "seed is 1.5; give an integer"),
    ({**DIGITS, "seed": 2**53}, "seed is 9007199254740992; give a number < 9007199254740992"),
    ({"dataset": "Digit"}, 'dataset is "Digit", which is not known (did you mean "digits"?)'),
    ({**DIGITS, "optimizer": {"lr": 1e308}}, "optimizer.lr is 1e+308; give a number <= 1e+30"),
    ({**DIGITS, "compile": "yes"}, 'compile is "yes"; give true or false'),
    ({**DIGITS, "precision": "fp8"}, 'precision is "fp8"'),
    ({**DIGITS, "optimizer": {"momentum": 0}}, "optimizer: nesterov is true and momentum is 0"),
    ({**DIGITS, "optimizer": {"name": "adamw", "betas": [0.9]}}, "optimizer.betas"),
    ({**DIGITS, "optimizer": {"name": "adamw", "betas": [0.9, 1]}}, "optimizer.betas.1 is 1; give a number < 1"),
    ({**DIGITS, "schedule": {"warmup_epochs": 99}}, "schedule.warmup_epochs is 99 and epochs is 20"),
    ({**DIGITS, "tags": {"team": "a\nb"}}, 'tags.team is "a\\nb"; give one line of text'),
    ({**DIGITS, "tags": {str(n): "x" for n in range(33)}}, "tags"),
    ({**DIGITS, "name": "x" * 201}, "name is"),
    (
        {**DIGITS, "tags": {"a:b": "c"}},
        'tags.a:b is "a:b"; give one line of text, without control characters and colons',
    ),
    ({**DIGITS, "name": "a\x9bb"}, 'name is "a\\u009bb"; give one line of text, without control characters'),
    ({**DIGITS, "\x1b[2J": 1}, "\\u001b[2J is not a field"),
    ({**DIGITS, "name": "a\x7fb"}, 'name is "a\\u007fb"; give one line of text, without control characters'),
    ({**DIGITS, "name": "a\u202eb"}, 'name is "a\\u202eb"; give one line of text, without control characters'),
    ({**DIGITS, "webhook": {"url": "ftp://x"}}, 'webhook.url is "ftp://x"'),
    ({**DIGITS, "webhook": {"url": "http://x/ü"}}, 'webhook.url is "http://x/ü"; give a URL of ASCII characters'),
    ({**DIGITS, "webhook": {"url": "http://x:99999/"}}, "webhook.url: its port is none; give one of 0 to 65535"),
    ({**DIGITS, "version": 3}, "version is 3; give a number <= 2"),
    ({**DIGITS, "resources": {"labels": ["a:b"]}}, 'resources.labels.0 is "a:b"; give 1 to 63 letters, digits'),
    ({**DIGITS, "resources": {"labels": ["a", "a"]}}, "resources.labels"),
    (
        {**DIGITS, "resources": {"device": "cpu", "gpu_memory_gb": 8}},
        'resources.gpu_memory_gb is 8.0 and resources.device is "cpu"; leave one of them out',
    ),
]


@pytest.mark.parametrize(("given", "message"), TABLE, ids=lambda value: str(value)[:60])
def test_a_mistake_is_told_with_its_field_and_what_would_be_accepted(given: Any, message: str) -> None:
    with pytest.raises(SpecInvalid) as refused:
        JobSpec.parse(given)

    assert str(refused.value).startswith(message)


def test_what_steers_a_terminal_is_quoted_as_an_escape_and_all_other_text_as_it_is() -> None:
    escaped = [char for char in map(chr, (*range(0x80, 0xD800), 0x1F600)) if shown(char) != f'"{char}"']

    assert escaped == [chr(code) for code in (*range(0x80, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))]
    assert {char: json.loads(shown(char)) for char in escaped} == {char: char for char in escaped}


@pytest.mark.parametrize("field", ["epochs", "seed", "name", "sam"])
def test_hostile_values_are_refused_as_quickly_and_shortly_as_others(field: str) -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]

    for value in (10**5000, deep, {str(n): n for n in range(5000)}, "x" * 1_000_000):
        with pytest.raises(SpecInvalid) as refused:
            JobSpec.parse({**DIGITS, field: value, "y" * 1_000_000: 1})

        assert len(str(refused.value)) < 20_000


def test_of_very_many_mistakes_the_first_are_told_and_the_rest_counted() -> None:
    with pytest.raises(SpecInvalid) as refused:
        JobSpec.parse({**DIGITS, **{f"x{n}": n for n in range(10_000)}})

    assert len(refused.value.errors) == 21
    assert refused.value.errors[-1].detail == "and 9980 more mistakes"


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"dataset": "kminst"}, "dataset", "kminst"),
        ({**DIGITS, "optimizer": {"momentum": 0}}, "optimizer.momentum", 0),
        ({**DIGITS, "sam": {"p": 3, "second_order": True}}, "sam.p", 3),
        ({**DIGITS, "sam": {"rho": "lr"}}, "sam.rho", "lr"),
        ({**DIGITS, "sam": {"variant": "gsam", "rho": {"schedule": "lr", "value": -1}}}, "sam.rho.value", -1),
        ({**DIGITS, "sam": {"rho": {"schedule": "constant", "value": 1, "end": 0.5}}}, "sam.rho.end", 0.5),
        ({**DIGITS, "sam": {"rho": {"value": 1}}}, "sam.rho.schedule", None),
        ({**DIGITS, "sam": {"active": {"from": 0.5, "until": 0.25}}}, "sam.active.from", 0.5),
        ({**DIGITS, "sam": {"active": {"until": 0}}}, "sam.active.until", 0),
        ({**DIGITS, "schedule": {"warmup_epochs": 99}}, "schedule.warmup_epochs", 99),
        ({**DIGITS, "epochs": -1}, "epochs", -1),
        ({"function": "x"}, "start", None),
    ],
)
def test_a_mistake_names_a_field_and_the_value_that_was_sent(given: Any, field: str, value: object) -> None:
    with pytest.raises(SpecInvalid) as refused:
        JobSpec.parse(given)

    (error,) = refused.value.errors
    assert (error.field, error.value) == (field, value)


@pytest.mark.parametrize(
    ("given", "field", "detail"), TOGETHER, ids=lambda value: value if isinstance(value, str) else ""
)
def test_fields_that_do_not_go_together_are_told_with_what_would(given: Any, field: str, detail: str) -> None:
    with pytest.raises(SpecInvalid) as refused:
        JobSpec.parse(given)

    (error,) = refused.value.errors
    assert error.field == field
    assert detail in error.detail


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(SpecInvalid) as refused:
        JobSpec.parse({**DIGITS, "epochs": 0, "sam": {"rho": -1}, "colour": "red"})

    assert sorted(error.field for error in refused.value.errors) == ["colour", "epochs", "sam.rho"]


#: A value for each field that waits for a later version, valid in itself.
LATER: dict[str, dict[str, Any]] = {
    "sharpness": {"sharpness": {}},
}


def test_every_pending_field_is_tried() -> None:
    assert LATER.keys() == {row.field for row in PENDING}


@pytest.mark.parametrize("field", LATER)
def test_what_no_worker_does_yet_is_refused_by_name(field: str) -> None:
    given = {**DIGITS, **LATER[field]}
    JobSpec.model_validate(given)

    with pytest.raises(SpecInvalid) as refused:
        JobSpec.parse(given)

    (error,) = refused.value.errors
    assert error.field == field
    assert "is not supported yet; give" in error.detail or "which is not supported yet" in error.detail


def test_a_secret_never_comes_back() -> None:
    places: list[dict[str, Any]] = [
        {"webhook": {"url": "https://x.org", "secret": "whsec_123"}},
        {"webhook": {"url": "bad", "secret": "whsec_123"}},
        {"webhook": {"url": "https://me:whsec_123@x.org"}},
        {"webhook": {"url": "https://x.org", "Secret": "whsec_123"}},
        {"webhook": {"secrets": "whsec_123"}},
        {"webhook": "whsec_123"},
        {"webhook": ["secret", "whsec_123"]},
        {"dataset": {"name": {"secret": "whsec_123"}}},
    ]
    for place in places:
        with pytest.raises(SpecInvalid) as refused:
            JobSpec.parse({**DIGITS, **place})

        assert "whsec_123" not in repr(refused.value.errors), place


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3),
    max_leaves=10,
)


@given(field=st.sampled_from(sorted(JobSpec.model_fields)), value=JSON)
def test_any_value_of_any_field_is_taken_or_refused_with_an_explanation(field: str, value: Any) -> None:
    refused: SpecInvalid | None = None
    try:
        JobSpec.parse({**DIGITS, field: value})
    except SpecInvalid as error:
        refused = error

    assert refused is None or all(error.detail for error in refused.errors)


def test_of_very_many_alternatives_some_are_named_beside_the_nearest() -> None:
    with pytest.raises(SpecInvalid) as refused:
        JobSpec.parse({**DIGITS, "model": "torchvision/mobilenet_v3_smal"})

    (error,) = refused.value.errors
    assert error.detail.startswith(
        'model.arch is "mobilenet_v3_smal" (did you mean "mobilenet_v3_small"?); give "alexnet"'
    )
    assert error.detail.endswith(" (80 in all)")
    assert len(error.detail) < 700
