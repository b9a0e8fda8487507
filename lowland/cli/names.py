"""The names that this version of the contract knows, for completion and for shorthands."""

from lowland.spec import JobSpec
from lowland.spec.unions import tagged_union


def names_in(field: str) -> list[str]:
    """What the field of a job may name."""
    info = JobSpec.model_fields.get(field)
    union = tagged_union(info) if info else None
    return list(union.members) if union else []


def tag_of(field: str) -> str | None:
    """The field by which an object in this field of a job says which it is: `name` or `variant`, if any."""
    info = JobSpec.model_fields.get(field)
    union = tagged_union(info) if info else None
    return union.tag if union else None
