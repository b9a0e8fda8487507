"""`sam` exports what it says, and builds variants by name."""

import types

import pytest
import torch

import sam


def test_all_lists_exactly_the_public_names() -> None:
    public = {
        name
        for name, value in vars(sam).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and (name in {"VARIANTS", "Rho"} or getattr(value, "__module__", "").startswith("sam"))
        and name not in {"BaseOptimizer"}
    }

    assert set(sam.__all__) == public


def test_every_variant_is_exported_under_its_class_name() -> None:
    assert {variant.__name__ for variant in sam.VARIANTS.values()} <= set(sam.__all__)


def test_build_makes_the_class_the_table_names() -> None:
    w = torch.nn.Parameter(torch.ones(2))

    built = {name: type(sam.build(name, [w], torch.optim.SGD, lr=0.1, momentum=0.9)) for name in sam.VARIANTS}

    assert built == dict(sam.VARIANTS)


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"variant must be one of 'friendly', got 'freindly'"):
        sam.build("freindly", [torch.nn.Parameter(torch.ones(2))], torch.optim.SGD)


def test_the_table_of_variants_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        sam.VARIANTS["mine"] = sam.SAM  # pyright: ignore[reportIndexIssue]  (that it cannot is the test)
