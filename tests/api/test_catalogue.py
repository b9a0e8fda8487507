"""The catalogue says of every entry of the contract's tables what a job gets that names it."""

from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema
import pytest

from ledger import Ledger
from lowland.spec import JobSpec
from lowland.spec.access import Scope
from lowland.spec.functions import NAMED
from lowland.spec.recipes import FUNCTION_RECIPE
from lowland.spec.unions import tagged_union
from tests.api.answers import assert_problem
from tests.api.callers import key

#: Field of the job that each list is for.
FIELDS = {
    "variants": "sam",
    "datasets": "dataset",
    "models": "model",
    "optimizers": "optimizer",
    "schedules": "schedule",
}
PATHS = [f"/{name}" for name in (*FIELDS, "functions", "schema")]
#: A job of each task, without what is tried on it.
JOBS: dict[str, dict[str, Any]] = {
    "classification": {"dataset": "digits"},
    "regression": {"dataset": "diabetes"},
    "function": {"function": "sphere", "start": [1.0, 1.0]},
}

every_list = pytest.mark.parametrize("listed", FIELDS)


@every_list
def test_a_list_has_every_entry_of_the_contract_and_no_other(http: httpx2.Client, listed: str) -> None:
    union = tagged_union(JobSpec.model_fields[FIELDS[listed]])
    assert union is not None

    assert [entry["name"] for entry in entries(http, listed)] == list(union.members)


def test_the_functions_are_those_of_the_contract(http: httpx2.Client) -> None:
    answer = http.get("/functions").json()

    assert [entry["name"] for entry in answer["functions"]] == list(NAMED)
    assert answer["recipe"] == FUNCTION_RECIPE


@every_list
def test_options_are_schemas_of_their_own_that_describe_everything(http: httpx2.Client, listed: str) -> None:
    for entry in entries(http, listed):
        schema = entry["options"]

        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$schema"]
        assert not {"$ref", "$defs"} & set(words(schema))
        assert entry["summary"]
        for option, said in schema["properties"].items():
            assert "default" in said or option in schema["required"]
            assert said.get("description") or said["const"] == entry["name"]


def test_options_hold_what_a_job_may_give(http: httpx2.Client) -> None:
    (sam,) = [entry for entry in entries(http, "variants") if entry["name"] == "sam"]
    options = jsonschema.Draft202012Validator(sam["options"])

    for good in ({}, {"rho": 0.1, "p": "inf"}, {"rho": {"schedule": "lr", "value": 0.1}, "active": {"from": 0.8}}):
        assert options.is_valid(good)
    for bad in ({"rho": -1}, {"p": 0.5}, {"rhoo": 1}, {"variant": "gsam"}, {"active": {"from": 2}}):
        assert not options.is_valid(bad)


def test_every_default_of_a_variant_is_the_one_a_job_gets(http: httpx2.Client) -> None:
    for entry in entries(http, "variants"):
        assert resolved(**JOBS["classification"], sam=entry["name"])["sam"] == named(entry)
        if "function" in entry["tasks"]:
            suits = FUNCTION_RECIPE["sam"] if "rho" in named(entry) else {}
            job = resolved(**JOBS["function"], sam=entry["name"], optimizer="adam")
            assert job["sam"] == named(entry) | suits


def test_every_default_of_a_dataset_is_the_one_a_job_gets(http: httpx2.Client) -> None:
    for entry in entries(http, "datasets"):
        assert resolved(dataset=given(entry))["dataset"] == named(entry)


@pytest.mark.parametrize("listed", ["models", "optimizers", "schedules"])
def test_every_other_default_is_the_one_a_job_gets_after_its_dataset_s_recipe(http: httpx2.Client, listed: str) -> None:
    field, models, tried = FIELDS[listed], entries(http, "models"), set[str]()
    for dataset in entries(http, "datasets"):
        recipe = dataset["recipe"].get(field, {})
        for entry in entries(http, listed):
            if model := a_model(models, entry, dataset):
                # with so many epochs no warm-up is shortened
                job = {"dataset": given(dataset), "model": given(model), field: given(entry), "epochs": 100}
                suits = recipe if recipe.get("name") == entry["name"] else {}

                assert resolved(**job)[field] == named(entry) | suits
                tried.add(entry["name"])
    assert tried == {entry["name"] for entry in entries(http, listed)}


def test_the_name_of_an_entry_makes_a_job_where_it_says_so_and_nowhere_else(http: httpx2.Client) -> None:
    jobs = [(entry["tasks"], task, {"sam": given(entry)}) for entry in entries(http, "variants") for task in JOBS]
    for tasks, task, part in jobs:
        # which has momentum, whatever the recipe says
        answer = http.post("/jobs?dry_run=true", json={**JOBS[task], **part, "optimizer": "adam"})
        assert answer.status_code == (200 if task in tasks else 422), (task, part)

    for dataset in entries(http, "datasets"):
        assert http.post("/jobs?dry_run=true", json={"dataset": given(dataset)}).status_code == 200
        for model in entries(http, "models"):
            job = {"dataset": given(dataset), "model": given(model)}
            is_taken = dataset["inputs"] in model["inputs"]
            assert http.post("/jobs?dry_run=true", json=job).status_code == (200 if is_taken else 422), job
    for schedule in entries(http, "schedules"):
        assert http.post("/jobs?dry_run=true", json={"dataset": "digits", "schedule": schedule["name"]}).is_success
    for function in entries(http, "functions"):
        job = {"function": function["name"], "start": function["start"]}
        spec = http.post("/jobs?dry_run=true", json=job).json()["spec"]
        assert (spec["optimizer"]["lr"], spec["steps"]) == (function["lr"], FUNCTION_RECIPE["steps"])


def test_an_optimizer_makes_a_job_with_the_models_it_trains_and_with_no_other(http: httpx2.Client) -> None:
    for optimizer in entries(http, "optimizers"):
        for model in entries(http, "models"):
            job = {"dataset": "digits", "model": given(model), "optimizer": optimizer["name"]}
            is_trained = model["name"] in optimizer["models"]
            assert http.post("/jobs?dry_run=true", json=job).status_code == (200 if is_trained else 422), job
        answer = http.post("/jobs?dry_run=true", json={**JOBS["function"], "optimizer": optimizer["name"]})
        assert answer.status_code == (200 if "function" in optimizer["tasks"] else 422)


def test_what_needs_momentum_is_refused_without(http: httpx2.Client) -> None:
    still = {"name": "sgd", "momentum": 0, "nesterov": False}

    for entry in entries(http, "variants"):
        job = {"dataset": "digits", "sam": entry["name"], "optimizer": still}
        assert http.post("/jobs?dry_run=true", json=job).status_code == (422 if entry["needs_momentum"] else 200)
    assert [entry["name"] for entry in entries(http, "variants") if entry["needs_momentum"]] == ["msam"]


def test_parameters_are_those_a_dry_run_tells(http: httpx2.Client) -> None:
    for model in entries(http, "models"):
        for dataset, count in model["parameters"].items():
            job = {"dataset": dataset, "model": model["name"]}
            assert http.post("/jobs?dry_run=true", json=job).json()["estimate"]["parameters"] == count
    assert all(entry["parameters"] for entry in entries(http, "models") if entry["name"] != "torchvision")


def test_the_entries_people_ask_for_say_what_one_chooses_by(http: httpx2.Client) -> None:
    esam, kmnist, table = (
        {name: value for entry in entries(http, listed) if entry["name"] == wanted for name, value in entry.items()}
        for listed, wanted in (("variants", "esam"), ("datasets", "kmnist"), ("datasets", "table"))
    )
    for entry in (esam, kmnist, table):
        del entry["options"], entry["summary"]
    del kmnist["recipe"], table["recipe"]

    assert esam == {
        "name": "esam",
        "source": "ESAM, Du et al., ICLR 2022",
        "tasks": ["classification", "regression", "function"],
        "needs_momentum": False,
        "forwards": 2.5,
        "backwards": 1.5,
        "cost": 1.83,
        "copies": 1,
    }
    size = {"shape": [1, 28, 28], "train": 60_000, "test": 10_000, "classes": 10}
    assert kmnist == {"name": "kmnist", "source": None, "tasks": ["classification"], "inputs": "images", **size}
    unknown = dict.fromkeys(size)
    tasks = ["classification", "regression"]
    assert table == {"name": "table", "source": None, "tasks": tasks, "inputs": "features", **unknown}


def test_only_of_people_s_own_files_the_size_is_unknown(http: httpx2.Client) -> None:
    unknown = [entry["name"] for entry in entries(http, "datasets") if None in (entry["train"], entry["shape"])]

    assert unknown == ["folder", "table"]


def test_every_variant_but_none_names_its_source(http: httpx2.Client) -> None:
    assert [entry["name"] for entry in entries(http, "variants") if not entry["source"]] == ["none"]


def test_the_schema_is_that_of_a_job(http: httpx2.Client) -> None:
    schema = http.get("/schema").json()

    jsonschema.Draft202012Validator.check_schema(schema)
    job = jsonschema.Draft202012Validator(schema)
    assert list(schema["properties"]) == list(JobSpec.model_fields)
    for good in ({"dataset": "digits", "sam": "gsam"}, JOBS["function"], resolved(dataset="cifar10")):
        assert job.is_valid(good)
    for bad in ({"dataset": "digits", "epcohs": 1}, {"dataset": {"name": "digits", "limit": 0}}, {"epochs": "x"}):
        assert not job.is_valid(bad)


@pytest.mark.parametrize("path", PATHS)
def test_who_has_an_answer_gets_it_once(http: httpx2.Client, path: str) -> None:
    first = http.get(path)

    again = http.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["etag"].startswith('"')
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert http.get(path, headers={"If-None-Match": '"another"'}).content == first.content
    assert_problem(http.get(f"{path}?limit=1"), 422, "parameters-invalid")


@pytest.mark.parametrize("path", PATHS)
def test_a_key_that_may_read_reads_the_catalogue(http: httpx2.Client, ledger: Ledger, path: str) -> None:
    reads, submits = key(ledger, "ada", Scope.READ), key(ledger, "ada", Scope.SUBMIT)

    assert http.get(path, headers=reads).status_code == 200
    assert_problem(http.get(path, headers=submits), 403, "scope-missing")


@pytest.mark.parametrize("path", PATHS[:-1])
def test_the_document_shows_how_an_answer_begins(http: httpx2.Client, document: dict[str, Any], path: str) -> None:
    answer = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    schema = {**answer["schema"], "components": document["components"]}

    jsonschema.Draft202012Validator(schema).validate(answer["example"])
    jsonschema.Draft202012Validator(schema).validate(http.get(path).json())
    assert answer["example"][path[1:]] == http.get(path).json()[path[1:]][:2]


def entries(http: httpx2.Client, listed: str) -> list[dict[str, Any]]:
    return http.get(f"/{listed}").json()[listed]


def given(entry: dict[str, Any]) -> dict[str, Any]:
    """What a job must say to name an entry; of torchvision's models the first, of own files any."""
    (tag,) = {"name", "variant"} & entry["options"]["properties"].keys()
    blanks = {"arch": "alexnet", "path": "a.csv", "target": "y"}
    return {tag: entry["name"], **{option: blanks[option] for option in entry["options"].get("required", [])}}


def named(entry: dict[str, Any]) -> dict[str, Any]:
    """What its options say that a job then has."""
    options = entry["options"]["properties"]
    return given(entry) | {name: option["default"] for name, option in options.items() if "default" in option}


def resolved(**job: Any) -> dict[str, Any]:
    return JobSpec.parse(job).model_dump(mode="json", by_alias=True)


def a_model(models: list[dict[str, Any]], entry: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any] | None:
    """A model that takes the dataset: the entry, if it is one, or one that the entry trains."""
    wanted = {entry["name"]} if "parameters" in entry else entry.get("models", [model["name"] for model in models])
    fitting = [model for model in models if model["name"] in wanted and dataset["inputs"] in model["inputs"]]
    return fitting[0] if fitting else None


def words(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield name
            yield from words(value)
    elif isinstance(node, list):
        for value in node:
            yield from words(value)
