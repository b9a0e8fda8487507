"""The examples run."""

import pytest

import sam
from examples import training_loop


@pytest.mark.parametrize("variant", list(sam.VARIANTS))
def test_the_training_loop_trains_with_every_variant(variant: str, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = training_loop.main(variant, epochs=3)

    assert accuracy > 0.8
    assert f"{variant}: test accuracy {100 * accuracy:.1f} %" in capsys.readouterr().out
