"""Every field of the contract says what it is: its docstring is its description in OpenAPI, catalogue and docs."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from lowland.spec import JobSpec
from lowland.spec.unions import models_in, tagged_union


def models(model: type[BaseModel] = JobSpec) -> Iterator[type[BaseModel]]:
    yield model
    for info in model.model_fields.values():
        union = tagged_union(info)
        for inner in union.members.values() if union else models_in(info.annotation):
            yield from models(inner)


@pytest.mark.parametrize("model", dict.fromkeys(models()), ids=lambda model: model.__name__)
def test_every_field_of_the_contract_is_described(model: type[BaseModel]) -> None:
    silent = [name for name, info in model.model_fields.items() if not info.description and name not in TAGS]

    assert silent == []
    assert model.__doc__


#: A union's tag needs no description of its own; the model's docstring is it.
TAGS = {"name", "variant"}
