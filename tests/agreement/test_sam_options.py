"""A variant's options stand twice, in the contract and as keywords of its constructor: same names, same defaults."""

import inspect

import pytest

import sam
from lowland.spec import JobSpec

#: Keywords of every constructor that are no option of the variant.
NOT_OPTIONS = {"model"}
#: Fields that are the trainer's business.
NOT_KEYWORDS = {"variant", "sync_perturbation"}


@pytest.mark.parametrize("variant", sorted(sam.VARIANTS))
def test_options_have_the_same_names_and_defaults_in_the_contract_and_the_constructor(variant: str) -> None:
    keywords = inspect.signature(sam.VARIANTS[variant]).parameters.values()
    taken = {
        keyword.name: keyword.default
        for keyword in keywords
        if keyword.kind is keyword.KEYWORD_ONLY and keyword.name not in NOT_OPTIONS
    }

    promised = JobSpec.parse({"dataset": "digits", "sam": variant}).sam.model_dump(exclude=NOT_KEYWORDS)

    assert promised == taken
