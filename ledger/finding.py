"""What jobs are found by: fields of a job's hash made from its spec, and what to look for among them.

    dataset  variant  model  name     as a job names them; a function has no dataset and no model
    tags                              a line for each, key:value; the key has no colon

There is an index (`jobs_by` in keys.py) for each owner, dataset, variant, tag's key and key:value. A search walks the
smallest that it can use and looks at the other fields of each job there, so model and name, which have no index, cost a
walk.
"""

from dataclasses import dataclass
from typing import Final

from lowland.spec import JobSpec, Status
from lowland.spec.models import Torchvision

#: Fields that stay in the hash when a job is packed.
FOUND_BY: Final = ("dataset", "variant", "model", "name", "tags")


def found_by(spec: JobSpec) -> dict[str, str]:
    """The fields of a job's hash that it is found by."""
    fields = {"variant": spec.sam.variant}
    if spec.dataset is not None:
        fields |= {"dataset": spec.dataset.name, "model": _model(spec)}
    if spec.name is not None:
        fields["name"] = spec.name
    if spec.tags:
        fields["tags"] = "\n".join(f"{key}:{value}" for key, value in spec.tags.items())
    return fields


def _model(spec: JobSpec) -> str:
    return f"torchvision/{spec.model.arch}" if isinstance(spec.model, Torchvision) else spec.model.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What jobs to look for: those that fit all of it. None fits any."""

    status: Status | None = None
    owner: str | None = None
    dataset: str | None = None
    variant: str | None = None
    model: str | None = None
    name: str | None = None
    """How the name begins."""
    tags: tuple[str, ...] = ()
    """Each a tag's key, or `key:value`."""

    def words(self) -> tuple[str, ...]:
        """As the scripts read them."""
        alone = (self.status, self.owner, self.dataset, self.variant, self.model, self.name)
        return (*(word or "" for word in alone), *self.tags)


#: Every job.
ANY: Final = Wanted()
