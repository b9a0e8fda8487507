"""What a job can name, for people and programs that choose: every entry of the contract's tables with its options.

Nothing is listed here. Entries are read from the unions that `JobSpec` takes, and whether two of them go together is
asked of `JobSpec` itself.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from inspect import cleandoc
from typing import Any, Final, Literal, cast, get_args

from lowland.errors import SpecInvalid
from lowland.spec.base import ResourceModel
from lowland.spec.datasets import Task
from lowland.spec.estimate import estimate, known_parts
from lowland.spec.functions import NAMED, Named
from lowland.spec.job import JobSpec
from lowland.spec.recipes import FUNCTION_RECIPE, RECIPES
from lowland.spec.unions import tagged_union

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
#: A source in a docstring: whatever stands in brackets up to a year.
_SOURCE: Final = re.compile(r"\(([^()]*\b(?:19|20)\d\d)\b[^()]*\)")

JobTask = Task | Literal["function"]
Inputs = Literal["images", "features"]


class Entry(ResourceModel):
    """Something that a job can name."""

    name: str
    """As a job gives it."""
    summary: str
    """What it is."""
    source: str | None
    """Who published it, and where; null where nothing is named."""
    options: dict[str, Any]
    """JSON Schema (draft 2020-12, without references) of the object that names it: every option with its default, its
    bounds and what it means. The recipe of the dataset, or of functions, comes before these defaults."""


class VariantEntry(Entry):
    """A SAM variant: what `sam` takes. What it costs is with its defaults, of a step in which it acts."""

    tasks: list[JobTask]
    """What it trains."""
    needs_momentum: bool
    """Whether the base optimizer must have momentum."""
    forwards: float
    """Forward passes of a step, in whole batches."""
    backwards: float
    """Backward passes of a step, in whole batches."""
    cost: float
    """Time of a step, as a multiple of plain training's, where a backward pass takes as long as two forward ones."""
    copies: int
    """Memory beside the base optimizer at its worst, in copies of the weights."""


class DatasetEntry(Entry):
    """A dataset: what `dataset` takes. Null is what is known only by reading it, or depends on its options."""

    tasks: list[Task]
    """What is learnt from it."""
    inputs: Inputs
    """What a sample is."""
    shape: list[int] | None
    """Of a sample, with its defaults: channels, height and width of an image, or how many features."""
    train: int | None
    """Training samples, with its defaults; the validation part is split off them."""
    test: int | None
    """Test samples, with its defaults."""
    classes: int | None
    """How many; null of a regression too."""
    recipe: dict[str, Any]
    """What suits it: taken for what a job does not say, before the general defaults."""


class ModelEntry(Entry):
    """A model: what `model` takes."""

    tasks: list[Task]
    """What it is for."""
    inputs: list[Inputs]
    """Samples it takes."""
    parameters: dict[str, int]
    """Trainable numbers in it, by dataset, of a job that names these two; without what only building it tells."""


class OptimizerEntry(Entry):
    """A base optimizer: what `optimizer` takes."""

    tasks: list[JobTask]
    """What it trains."""
    models: list[str]
    """Models it trains."""


class ScheduleEntry(Entry):
    """The learning rate's course: what `schedule` takes."""


class FunctionEntry(ResourceModel):
    """A test function: what `function` takes, beside expressions."""

    name: str
    """As a job gives it."""
    formula: str
    """For people."""
    fewest: int
    """Variables it takes at least."""
    most: int | None
    """Variables it takes at most; null is any number."""
    least: float
    """Its value at the minima."""
    minima: list[list[float]]
    """Where they are, for as many variables as `start` has."""
    start: list[float]
    """Where papers start from; of more variables repeated."""
    lr: float
    """The learning rate it gets by default."""
    window: tuple[float, float]
    """What a picture shows of each variable."""


class VariantList(ResourceModel):
    """Every variant."""

    variants: list[VariantEntry]


class DatasetList(ResourceModel):
    """Every dataset."""

    datasets: list[DatasetEntry]


class ModelList(ResourceModel):
    """Every model."""

    models: list[ModelEntry]


class OptimizerList(ResourceModel):
    """Every base optimizer."""

    optimizers: list[OptimizerEntry]


class ScheduleList(ResourceModel):
    """Every schedule."""

    schedules: list[ScheduleEntry]


class FunctionList(ResourceModel):
    """Every test function."""

    functions: list[FunctionEntry]
    recipe: dict[str, Any]
    """What suits functions: taken for what a job does not say, after an entry's `lr`, before the general defaults."""


@cache
def variants() -> VariantList:
    """The variants."""
    return VariantList(variants=[_variant(entry) for entry in _entries("sam")])


@cache
def datasets() -> DatasetList:
    """The datasets."""
    return DatasetList(datasets=[_dataset(entry) for entry in _entries("dataset")])


@cache
def models() -> ModelList:
    """The models."""
    return ModelList(models=[_model(entry) for entry in _entries("model")])


@cache
def optimizers() -> OptimizerList:
    """The base optimizers."""
    return OptimizerList(optimizers=[_optimizer(entry) for entry in _entries("optimizer")])


@cache
def schedules() -> ScheduleList:
    """The schedules."""
    return ScheduleList(schedules=[ScheduleEntry(**dict(entry)) for entry in _entries("schedule")])


@cache
def functions() -> FunctionList:
    """The test functions."""
    return FunctionList(functions=[_function(named) for named in NAMED.values()], recipe=dict(FUNCTION_RECIPE))


def bare(entry: Entry) -> dict[str, Any]:
    """The shortest object that names an entry, with something in the place of every option that has no default."""
    options = entry.options["properties"]
    required = entry.options.get("required", [])
    tag = next(option for option, schema in options.items() if schema.get("const") == entry.name)
    return {tag: entry.name, **{option: options[option].get("enum", ["x"])[0] for option in required}}


def _variant(entry: Entry) -> VariantEntry:
    given = bare(entry)
    variant = JobSpec.parse({**_jobs()["classification"], "sam": given, "optimizer": "adam"}).sam
    without_momentum = {"name": "sgd", "momentum": 0.0, "nesterov": False}
    return VariantEntry(
        **dict(entry),
        tasks=[task for task, job in _jobs().items() if _fits(**job, sam=given, optimizer="adam")],
        needs_momentum=not _fits(**_jobs()["classification"], sam=given, optimizer=without_momentum),
        forwards=variant.passes.forwards,
        backwards=variant.passes.backwards,
        cost=variant.passes.cost,
        copies=variant.copies,
    )


def _dataset(entry: Entry) -> DatasetEntry:
    spec = JobSpec.parse({"dataset": bare(entry)}).dataset
    assert spec is not None  # it was given
    choices: dict[str, Any] = entry.options["properties"].get("task", {})
    known = known_parts(spec)
    return DatasetEntry(
        **dict(entry),
        tasks=choices.get("enum", [spec.task]),
        inputs="images" if spec.has_images else "features",
        shape=list(known.shape if spec.has_images else known.shape[:1]) if known else None,
        train=known.train if known else None,
        test=known.test if known else None,
        classes=known.outputs if known and known.outputs > 1 else None,
        recipe=dict(RECIPES.get(entry.name, {})),
    )


def _model(entry: Entry) -> ModelEntry:
    given = bare(entry)
    taken = [each for each in datasets().datasets if _fits(dataset=bare(each), model=given)]
    counted = {each.name: estimate(JobSpec.parse({"dataset": bare(each), "model": given})).parameters for each in taken}
    return ModelEntry(
        **dict(entry),
        tasks=[task for task in get_args(Task) if any(task in each.tasks for each in taken)],
        inputs=[kind for kind in get_args(Inputs) if any(kind == each.inputs for each in taken)],
        parameters={dataset: count for dataset, count in counted.items() if count is not None},
    )


def _optimizer(entry: Entry) -> OptimizerEntry:
    given = bare(entry)
    trained = [
        model
        for model in models().models
        if any(_fits(dataset=bare(each), model=bare(model), optimizer=given) for each in datasets().datasets)
    ]
    tasks: list[JobTask] = [task for task in get_args(Task) if any(task in model.tasks for model in trained)]
    if _fits(**_jobs()["function"], optimizer=given):
        tasks.append("function")
    return OptimizerEntry(**dict(entry), tasks=tasks, models=[model.name for model in trained])


def _function(named: Named) -> FunctionEntry:
    start = named.start(max(named.fewest, len(named.usual_start)))
    return FunctionEntry(
        name=named.name,
        formula=named.formula,
        fewest=named.fewest,
        most=named.most,
        least=named.least,
        minima=[list(point) for point in named.minima(len(start))],
        start=list(start),
        lr=named.lr,
        window=named.window,
    )


@cache
def _jobs() -> Mapping[JobTask, Mapping[str, Any]]:
    """One job of each task, of things that are at hand."""
    jobs: dict[JobTask, Mapping[str, Any]] = {}
    for entry in datasets().datasets:
        for task in entry.tasks:
            jobs.setdefault(task, {"dataset": bare(entry)})
    first = functions().functions[0]
    return {**jobs, "function": {"function": first.name, "start": first.start}}


def _fits(**given: object) -> bool:
    """Whether these fields make a job."""
    try:
        JobSpec.parse(given)
    except SpecInvalid:
        return False
    return True


def _entries(field: str) -> Iterator[Entry]:
    union = tagged_union(JobSpec.model_fields[field])
    assert union is not None  # those that are asked for are
    for name, model in union.members.items():
        schema = model.model_json_schema()
        if field == "dataset":
            for option, default in RECIPES.get(name, {}).get("dataset", {}).items():
                schema["properties"][option]["default"] = default
        paragraphs = [" ".join(part.split()) for part in cleandoc(str(model.__doc__)).split("\n\n")]
        source = _SOURCE.search(paragraphs[0])
        options = _without_references(schema, schema.pop("$defs", {}))
        yield Entry(
            name=name,
            summary=paragraphs[0],
            source=source[1] if source else None,
            options={"$schema": DIALECT, **options},
        )


def _without_references(part: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with what it refers to in the place of the reference; what stands beside one has the last word."""
    if isinstance(part, list):
        return [_without_references(each, definitions) for each in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    said = {key: _without_references(value, definitions) for key, value in cast("dict[str, Any]", part).items()}
    reference = said.pop("$ref", None)
    if not isinstance(reference, str):
        return said
    return {**_without_references(definitions[reference.rpartition("/")[2]], definitions), **said}
