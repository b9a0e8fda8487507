"""What a field's type says about the alternatives it takes: their tag, their names, their shorthand.

tagged union       objects told apart by a field of theirs, `name` or `variant`
labelled union     alternatives of which not all are objects, told apart by a function (`rho`: a number or an object)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Tag
from pydantic.fields import FieldInfo

from lowland.spec.base import Expand


@dataclass(frozen=True, slots=True)
class TaggedUnion:
    """A discriminated union as a table."""

    tag: str
    """The field that tells the members apart: `name` or `variant`."""
    members: Mapping[str, type[BaseModel]]
    """Each member by its tag's value."""
    expand: Expand
    """Turns a string that stands for a member into an object, and an alias into the name."""


def tagged_union(field: FieldInfo) -> TaggedUnion | None:
    """The discriminated union that is the field's type, perhaps beside None; None where there is none."""
    for annotation, marks in _layers(field.annotation, [field, *field.metadata]):
        tag = next((m.discriminator for m in marks if isinstance(m, FieldInfo) and m.discriminator), None)
        if isinstance(tag, str):
            members = {str(model.model_fields[tag].default): model for model in models_in(annotation)}
            return TaggedUnion(tag, members, _expand_of(marks))
    return None


def alternatives(field: FieldInfo) -> Mapping[str, type[BaseModel] | None] | None:
    """The field's alternatives by what pydantic puts into an error's location for them; None where that is nothing.

    An alternative that is no object is None.
    """
    if union := tagged_union(field):
        return union.members
    labelled = {
        mark.tag: next(models_in(part), None)
        for part in get_args(field.annotation)
        if get_origin(part) is Annotated
        for mark in part.__metadata__
        if isinstance(mark, Tag)
    }
    return labelled or None


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model among the alternatives of a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Union, UnionType, Annotated}:
        for part in get_args(annotation):
            yield from models_in(part)


def _layers(annotation: Any, marks: Sequence[Any]) -> Iterator[tuple[Any, Sequence[Any]]]:
    yield annotation, marks
    if get_origin(annotation) in {Union, UnionType}:
        for part in get_args(annotation):
            if get_origin(part) is Annotated:
                yield from _layers(part.__origin__, part.__metadata__)


def _expand_of(marks: Sequence[Any]) -> Expand:
    for mark in marks:
        if isinstance(mark, BeforeValidator):
            return mark.func  # pyright: ignore[reportReturnType]  ours take the value alone
    return lambda value: value
