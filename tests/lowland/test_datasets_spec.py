"""What the contract says of datasets without reading one: their tasks, and which options go together."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from lowland.spec.datasets import DatasetSpec, Folder, LinearData, Table, task_of

DATASETS = TypeAdapter[DatasetSpec](DatasetSpec)

#: What a spec must say beside its name.
NEEDED = {"folder": {"path": "pets"}, "table": {"path": "t.csv", "target": "y"}}


def _spec(name: str, **fields: Any) -> DatasetSpec:
    return DATASETS.validate_python({"name": name, **NEEDED.get(name, {}), **fields})


def _refusal(name: str, **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        _spec(name, **fields)
    (error,) = caught.value.errors()
    return error["msg"].removeprefix("Value error, ")


TASKS = {
    "digits": ("classification", True),
    "mnist": ("classification", True),
    "kmnist": ("classification", True),
    "fashion-mnist": ("classification", True),
    "cifar10": ("classification", True),
    "cifar100": ("classification", True),
    "svhn": ("classification", True),
    "linear": ("regression", False),
    "diabetes": ("regression", False),
    "breast-cancer": ("classification", False),
    "folder": ("classification", True),
    "table": ("classification", False),
}


@pytest.mark.parametrize("name", TASKS)
def test_every_dataset_tells_its_task_and_whether_it_has_images(name: str) -> None:
    spec = _spec(name)

    assert (task_of(spec), spec.has_images) == TASKS[name]


def test_a_table_s_task_is_its_field() -> None:
    assert task_of(_spec("table", task="regression")) == "regression"


@pytest.mark.parametrize("name", TASKS)
def test_a_dataset_has_the_options_that_suit_it(name: str) -> None:
    """Labels can be changed where there are classes, images varied where there are images."""
    task, has_images = TASKS[name]

    fields = type(_spec(name)).model_fields.keys()

    assert {"validation_fraction", "limit"} <= fields
    assert ({"label_noise", "imbalance"} <= fields) == (task == "classification")
    assert ("augment" in fields) == has_images


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("MNIST", "mnist"),
        ("FashionMNIST", "fashion-mnist"),
        ("CIFAR-100", "cifar100"),
        ("breast_cancer", "breast-cancer"),
        ("BreastCancer", "breast-cancer"),
    ],
)
def test_datasets_go_by_what_people_call_them(said: str, meant: str) -> None:
    assert DATASETS.validate_python(said).name == meant


@pytest.mark.parametrize("path", ["pets", "pets/small", "my pets/2024..25", "a.csv", ".hidden", "pets/"])
def test_a_path_below_the_data_folder_is_taken(path: str) -> None:
    assert Folder(path=path).path == path


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "is empty"),
        ("//", "is empty"),
        ("/etc", "is absolute"),
        ("..", "has a .. in it"),
        ("pets/../../etc", "has a .. in it"),
        ("pets\\small", "has a backslash in it"),
        ("pets\0", "has a control character in it"),
        ("pets\n", "has a control character in it"),
    ],
)
@pytest.mark.parametrize("name", ["folder", "table"])
def test_a_path_that_might_leave_it_is_refused(name: str, path: str, problem: str) -> None:
    refusal = _refusal(name, path=path)

    assert f"{problem}; give a path below LOWLAND_DATA_DIR" in refusal


def test_a_path_of_any_length_is_refused_in_short() -> None:
    assert len(_refusal("folder", path="../" * 300)) < 300
    assert _refusal("folder", path="x" * 1001) == "String should have at most 1000 characters"


@pytest.mark.parametrize(
    ("field", "value"), [("label_noise", 0.1), ("imbalance", {"kind": "step", "factor": 10.0})], ids=str
)
def test_a_regression_has_no_labels_to_change(field: str, value: Any) -> None:
    assert _refusal("table", task="regression", **{field: value}).startswith(f'task is "regression" and {field} is ')
    assert _spec("table", **{field: value})


def test_a_target_that_is_ignored_is_refused() -> None:
    assert _refusal("table", ignore=["x", "y"]) == 'target is "y" and ignore names it too; leave it out of ignore'


def test_linear_draws_no_more_than_fits_into_memory() -> None:
    assert LinearData(variables=100, samples=1_000_000)
    assert _refusal("linear", variables=101, samples=1_000_000) == (
        "variables is 101 and samples is 1000000; give two whose product is at most 100000000"
    )


@pytest.mark.parametrize("spec", [_spec(name) for name in TASKS], ids=lambda spec: spec.name)
def test_a_spec_reads_back_as_itself(spec: DatasetSpec) -> None:
    assert DATASETS.validate_json(DATASETS.dump_json(spec)) == spec


def test_a_table_names_its_file_and_its_target() -> None:
    with pytest.raises(ValidationError) as caught:
        Table.model_validate({})

    assert [error["loc"] for error in caught.value.errors()] == [("path",), ("target",)]
