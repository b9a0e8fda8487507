"""What a job needs of memory is told without reading or building anything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowland.spec.catalogue import variants
from lowland.spec.estimate import Estimate, estimate, training_samples
from lowland.spec.job import JobSpec

UNKNOWN = Estimate(
    parameters=None, model_bytes=None, data_bytes=None, optimizer_bytes=None, activation_bytes=None, total_bytes=None
)
WIDTHS = st.integers(1, 512)
VARIANTS = [entry.name for entry in variants().variants]
BATCHES = st.integers(1, 4096)


def estimated(**spec: Any) -> Estimate:
    return estimate(JobSpec.parse(spec))


def test_a_job_is_the_sum_of_its_parts() -> None:
    """Softmax regression on 8x8 digits, by hand: 64 x 10 weights and 10 biases."""
    parameters = 650

    assert estimated(dataset="digits", model="linear", sam="sam", batch_size=32) == Estimate(
        parameters=parameters,
        model_bytes=5 * 4 * parameters,  # weights, gradients, the probe's copy of both, the selected weights
        data_bytes=1797 * (64 + 8),
        optimizer_bytes=2 * 4 * parameters,  # momentum, the exact restore
        activation_bytes=32 * (64 + 64 + 2 * 64 + 10) * 4,  # the batch, the layer's input, what flows back, the loss
        total_bytes=7 * 4 * parameters + 1797 * 72 + 32 * 1064,
    )


@pytest.mark.parametrize(
    ("more", "copies"),
    [
        ({"sam": "none"}, 1),
        ({"sam": "none", "optimizer": {"name": "sgd", "momentum": 0.0, "nesterov": False}}, 0),
        ({"sam": "none", "optimizer": "adamw"}, 2),
        ({"sam": "none", "optimizer": "rmsprop"}, 1),
        ({"sam": "none", "optimizer": {"name": "rmsprop", "momentum": 0.5}}, 2),
        ({"sam": "friendly"}, 4),
        ({"sam": "msam"}, 2),
    ],
    ids=str,
)
def test_the_optimizer_holds_copies_of_the_weights(more: dict[str, Any], copies: int) -> None:
    found = estimated(dataset="digits", model="linear", **more)

    assert found.optimizer_bytes == copies * 4 * 650


def test_an_average_and_selected_weights_are_copies_too() -> None:
    plain = estimated(dataset={"name": "digits", "validation_fraction": 0}, model="linear")
    averaged = estimated(dataset="digits", model="linear", ema={"decay": 0.9})

    assert (plain.model_bytes, averaged.model_bytes) == (4 * 4 * 650, 6 * 4 * 650)


def test_half_precision_halves_what_a_forward_pass_keeps_and_copies_the_weights() -> None:
    spec = JobSpec.parse({"dataset": "digits", "model": "linear", "batch_size": 32})

    full, half = estimate(spec), estimate(spec, precision="bf16")

    assert (full.activation_bytes, half.activation_bytes) == (32 * 1064, 32 * (1064 - 2 * 3 * 64) + 2 * 650)


def test_a_process_of_several_has_its_share_of_the_batch() -> None:
    alone = estimated(dataset="digits", model="linear", batch_size=32)
    shared = estimated(dataset="digits", model="linear", batch_size=32, resources={"world_size": 4})

    assert (alone.activation_bytes, shared.activation_bytes) == (32 * 1064, 8 * 1064)


def test_what_cannot_be_known_is_null() -> None:
    own = estimated(dataset={"name": "table", "path": "a.csv", "target": "y"})
    torchvision = estimated(dataset="cifar10", model="torchvision/resnet18")

    assert own == UNKNOWN
    assert torchvision == UNKNOWN.model_copy(update={"data_bytes": 60_000 * (3 * 32 * 32 + 8)})


def test_a_function_is_a_few_numbers() -> None:
    found = estimated(function="rosenbrock", start=[-1.2, 1.0])

    assert found == Estimate(
        parameters=2, model_bytes=32, data_bytes=0, optimizer_bytes=0, activation_bytes=0, total_bytes=32
    )


def total(found: Estimate) -> int:
    assert found.total_bytes is not None
    return found.total_bytes


@given(widths=st.tuples(WIDTHS, WIDTHS), depth=st.integers(1, 8), variant=st.sampled_from(VARIANTS))
def test_more_parameters_never_need_less_memory(widths: tuple[int, int], depth: int, variant: str) -> None:
    small, large = (
        estimated(dataset="digits", model={"name": "mlp", "width": width, "depth": depth}, sam=variant)
        for width in sorted(widths)
    )

    assert (small.parameters or 0) <= (large.parameters or 0)
    assert total(small) <= total(large)


@given(batches=st.tuples(BATCHES, BATCHES), world_size=st.integers(1, 8))
def test_a_larger_batch_never_needs_less_memory_and_a_share_of_it_never_more(
    batches: tuple[int, int], world_size: int
) -> None:
    small, large = (estimated(dataset="kmnist", model="cnn", batch_size=batch) for batch in sorted(batches))
    shared = estimated(
        dataset="kmnist", model="cnn", batch_size=max(batches), resources={"world_size": min(world_size, *batches)}
    )

    assert total(small) <= total(large)
    assert total(shared) <= total(large)


@pytest.mark.parametrize(
    ("dataset", "samples"),
    [
        ("digits", 1438),  # four fifths of 1797
        ("cifar10", 50_000),
        ({"name": "digits", "limit": 7}, 7),
        ({"name": "digits", "limit": 5000}, 1438),
        ({"name": "linear", "samples": 30}, 30),
        ({"name": "linear", "samples": 30, "limit": 20}, 20),
        ({"name": "table", "path": "a.csv", "target": "y", "limit": 9}, 9),
        ({"name": "table", "path": "a.csv", "target": "y"}, None),
    ],
    ids=str,
)
def test_the_training_set_has_so_many_samples(dataset: Any, samples: int | None) -> None:
    spec = JobSpec.parse({"dataset": dataset})
    assert spec.dataset is not None

    assert training_samples(spec.dataset) == samples
