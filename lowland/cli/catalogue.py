"""`lowland variants`, `datasets`, `models`, `optimizers`, `schedules` and `functions`: what a job can name."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from lowland.cli import wording
from lowland.cli.connecting import connected
from lowland.cli.exits import Exit, fail
from lowland.cli.filters import completed_by
from lowland.cli.printing import Column, json_option, print_fact, print_json, print_line, print_table
from lowland.errors import LowlandError

if TYPE_CHECKING:
    from lowland.client import Client
    from lowland.spec.catalogue import DatasetEntry, Entry, FunctionEntry, ModelEntry, OptimizerEntry, VariantEntry

    AnyEntry = Entry | FunctionEntry

E = TypeVar("E", bound="AnyEntry")
F = TypeVar("F", bound=Callable[..., Any])


def _name(field: str) -> Callable[[F], F]:
    return click.argument("name", required=False, shell_complete=completed_by(field))


_SUMMARY: Final = Column(head="WHAT IT IS", cut=24)
_FORMULA: Final = Column(head="FORMULA", cut=24)


@click.command()
@_name("sam")
@json_option
def variants(name: str | None, as_json: bool) -> None:
    """List the SAM variants, or show the options of one.

    COST is the time of a step as a multiple of plain training's, COPIES the memory beside the base optimizer, in copies
    of the weights.
    """
    columns = [Column(head="VARIANT"), Column(head="COST", right=True), Column(head="COPIES", right=True), _SUMMARY]

    def row(entry: "VariantEntry") -> list[str]:
        return [entry.name, f"{entry.cost:.3g}", str(entry.copies), entry.summary]

    _show(name, as_json, "variant", lambda client: client.variants(), columns, row)


@click.command()
@_name("dataset")
@json_option
def datasets(name: str | None, as_json: bool) -> None:
    """List the datasets, or show the options of one.

    One is shown with the recipe that suits it. What is not known before a dataset is read is shown as -.
    """
    columns = [
        Column(head="DATASET"),
        Column(head="TASK", drop=2, cut=8),
        Column(head="SHAPE", drop=1),
        Column(head="TRAIN", right=True),
        Column(head="TEST", right=True),
        Column(head="CLASSES", right=True),
        Column(head="WHAT IT IS", cut=24, drop=3),
    ]

    def row(entry: "DatasetEntry") -> list[str]:
        counts = [wording.NONE if count is None else str(count) for count in (entry.train, entry.test, entry.classes)]
        shape = "x".join(str(side) for side in entry.shape) if entry.shape else wording.NONE
        return [entry.name, ", ".join(entry.tasks), shape, *counts, entry.summary]

    _show(name, as_json, "dataset", lambda client: client.datasets(), columns, row)


@click.command()
@_name("model")
@json_option
def models(name: str | None, as_json: bool) -> None:
    """List the models, or show the options of one.

    One is shown with its size on each dataset.
    """
    columns = [Column(head="MODEL"), Column(head="TASKS", drop=1), Column(head="INPUTS"), _SUMMARY]

    def row(entry: "ModelEntry") -> list[str]:
        return [entry.name, ", ".join(entry.tasks), ", ".join(entry.inputs), entry.summary]

    _show(name, as_json, "model", lambda client: client.models(), columns, row)


@click.command()
@_name("optimizer")
@json_option
def optimizers(name: str | None, as_json: bool) -> None:
    """List the base optimizers, or show the options of one."""
    columns = [Column(head="OPTIMIZER"), Column(head="TASKS", drop=1), _SUMMARY]

    def row(entry: "OptimizerEntry") -> list[str]:
        return [entry.name, ", ".join(entry.tasks), entry.summary]

    _show(name, as_json, "optimizer", lambda client: client.optimizers(), columns, row)


@click.command()
@_name("schedule")
@json_option
def schedules(name: str | None, as_json: bool) -> None:
    """List the learning rate's schedules, or show one."""
    columns = [Column(head="SCHEDULE"), _SUMMARY]

    def row(entry: "Entry") -> list[str]:
        return [entry.name, entry.summary]

    _show(name, as_json, "schedule", lambda client: client.schedules(), columns, row)


@click.command()
@_name("function")
@json_option
def functions(name: str | None, as_json: bool) -> None:
    """List the test functions, or show one."""
    columns = [Column(head="FUNCTION"), Column(head="VARIABLES"), Column(head="LEAST", right=True), _FORMULA]

    def row(entry: "FunctionEntry") -> list[str]:
        most = "any" if entry.most is None else str(entry.most)
        variables = (
            most
            if str(entry.fewest) == most
            else f"{entry.fewest} to {most}"
            if entry.most
            else f"{entry.fewest} or more"
        )
        return [entry.name, variables, wording.number(entry.least), entry.formula]

    _show(name, as_json, "function", lambda client: client.functions(), columns, row)


#: How a JSON Schema says bounds. One at `lowland.spec.base.LARGEST` is none to people.
_SIGNS: Final = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


class NameUnknown(LowlandError):
    """Nothing has this name."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        from lowland.spec.show import nearest, one_of, shown  # noqa: PLC0415  takes long

        near = nearest(name, known)
        hint = f'did you mean "{near}"?' if near else f"give {one_of(known)}"
        super().__init__(f"there is no {kind} {shown(name)}; {hint}")


def _show(
    name: str | None,
    as_json: bool,
    kind: str,
    fetch: Callable[["Client"], Sequence[E]],
    columns: Sequence[Column],
    row: Callable[[E], list[str]],
) -> None:
    with connected() as client:
        entries = fetch(client)
    if name is None:
        if as_json:
            print_json(list(entries))
        else:
            print_table(columns, [row(entry) for entry in entries])
        return
    entry = next((entry for entry in entries if entry.name == name), None)
    if entry is None:
        fail(NameUnknown(kind, name, [entry.name for entry in entries]), Exit.NOT_FOUND)
    if as_json:
        print_json(entry)
    else:
        _print_entry(entry.model_dump(mode="json", warnings=False))


def _print_entry(entry: dict[str, Any]) -> None:
    """An entry's facts, and a paragraph for each of its options."""
    options: Mapping[str, Any] = entry.pop("options", {}).get("properties", {})
    width = max(len(field) for field in entry) + 2
    for field, value in entry.items():
        if value not in (None, [], {}):
            print_fact(field.replace("_", " "), _fact(value), indent=width)
    given = {option: schema for option, schema in options.items() if "const" not in schema}
    if given:
        print_line("options")
    for option, schema in given.items():
        default = f", by default {json.dumps(schema['default'])}" if "default" in schema else ""
        print_line(f"  {option}: {' or '.join(_kinds(schema))}{default}")
        print_fact("", " ".join(str(schema.get("description", "")).split()), indent=6)


def _fact(value: Any) -> str:
    from lowland.cli.assignments import assignments_of  # noqa: PLC0415  takes long

    if isinstance(value, list):
        return ", ".join(_fact(inner) for inner in cast("list[Any]", value))
    if isinstance(value, dict):
        return " ".join(assignments_of(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    """What a JSON Schema takes, in words."""
    from lowland.spec.base import LARGEST  # noqa: PLC0415  takes long

    for alternative in schema.get("anyOf", schema.get("oneOf", [])):
        yield from _kinds(alternative)
    if "enum" in schema:
        yield ", ".join(json.dumps(value) for value in schema["enum"])
    elif "const" in schema:
        yield json.dumps(schema["const"])
    elif "type" in schema:
        bounds = [f"{sign} {schema[key]:g}" for key, sign in _SIGNS.items() if abs(schema.get(key, LARGEST)) < LARGEST]
        yield " ".join([schema["type"], ", ".join(bounds)]).strip()
