"""What the contract names, the engine has, and the other way round: datasets, models, variants, optimizers, ..."""

from collections.abc import Collection
from typing import get_args

import pytest

import sam
from lowland.networks import MODELS
from lowland.spec.datasets import Augment, Task
from lowland.spec.job import Evaluate, JobSpec
from lowland.spec.unions import tagged_union
from worker.engine.data import DATASETS
from worker.engine.data.augment import AUGMENTATIONS
from worker.engine.data.corruptions import CORRUPTIONS
from worker.engine.optim import OPTIMIZERS
from worker.engine.schedules import SCHEDULES
from worker.engine.tasks import TASKS


def _named(field: str) -> set[str]:
    union = tagged_union(JobSpec.model_fields[field])
    assert union is not None
    return set(union.members)


@pytest.mark.parametrize(
    ("field", "table"),
    [
        ("dataset", DATASETS),
        ("model", MODELS),
        ("sam", sam.VARIANTS),
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_engine_has_exactly_what_the_contract_names(field: str, table: Collection[str]) -> None:
    assert set(table) == _named(field)


def test_the_engine_has_exactly_the_augmentations_of_the_contract() -> None:
    assert set(AUGMENTATIONS) == set(get_args(Augment))


def test_the_engine_has_exactly_the_corruptions_of_the_contract() -> None:
    (corruption,) = get_args(Evaluate.model_fields["corruptions"].annotation)

    assert set(CORRUPTIONS) == set(get_args(corruption))


def test_the_engine_has_exactly_the_tasks_that_datasets_have() -> None:
    assert set(TASKS) == set(get_args(Task))
