"""The table of what ρ measures has every variant that takes one, with the contract's default."""

import re

from lowland.spec import JobSpec
from lowland.spec.sam import RhoSchedule
from lowland.spec.unions import tagged_union
from tests.docs.pages import DOCS


def test_the_table_of_rho_has_the_contract_s_defaults() -> None:
    page = (DOCS / "explanation" / "choosing-rho.md").read_text()
    section = page.split("\n## It is not on one scale\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith(("| [`", "| `"))]
    shown = {
        (variant, float(default.split()[0].rstrip(":")))
        for what, _, default, *_ in rows
        for variant in re.findall(r"`([\w-]+)`", what)
        if variant != "adaptive"
    }

    assert shown == {(variant, rho) for variant in variants() if (rho := default_of(variant)) is not None}


def variants() -> list[str]:
    """Every variant, by its name."""
    union = tagged_union(JobSpec.model_fields["sam"])
    assert union
    return [str(name) for name in union.members]


def default_of(variant: str) -> float | None:
    """The ρ that it begins with; None where it has none."""
    rho = getattr(JobSpec.parse({"dataset": "digits", "sam": variant}).sam, "rho", None)
    return rho.value if isinstance(rho, RhoSchedule) else rho
