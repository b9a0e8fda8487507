"""A variant's options stand twice, in the contract and as keywords of its constructor: same names, same defaults."""

import inspect

import pytest
from pydantic import BaseModel

import sam
from lowland.spec import JobSpec
from lowland.spec.pending import PENDING
from lowland.spec.unions import tagged_union

MEMBERS = next(union.members for union in [tagged_union(JobSpec.model_fields["sam"])] if union)

#: Options and variants that the contract describes and the core does not have yet.
PENDING_OPTIONS = {row.field.removeprefix("sam.") for row in PENDING if row.field.startswith("sam.")}
WORKING = next(row.works for row in PENDING if row.field == "sam.variant")


def test_the_contract_s_variants_are_the_core_s_and_those_pending() -> None:
    assert set(sam.VARIANTS) == set(WORKING)
    assert set(WORKING) <= MEMBERS.keys()


@pytest.mark.parametrize("variant", sorted(sam.VARIANTS))
def test_options_have_the_same_names_and_defaults_in_the_contract_and_the_constructor(variant: str) -> None:
    model: type[BaseModel] = MEMBERS[variant]
    keywords = inspect.signature(sam.VARIANTS[variant]).parameters
    taken = {
        name: parameter.default
        for name, parameter in keywords.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "model"
    }

    promised = {
        name: info.default
        for name, info in model.model_fields.items()
        if name != "variant" and name not in PENDING_OPTIONS
    }

    assert promised == taken
