"""The engine's training loop and a script take their turns."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from benchmarks.engine_speed.scripts import Bare, radius_of
from benchmarks.engine_speed.turns import WARM_UP, take_turns
from lowland.spec import JobSpec


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Idle:
    """A script whose steps are over at once; counts them."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> int:
        self.steps += 1
        return 10


def job(**fields: Any) -> JobSpec:
    dataset = {"name": "digits", "limit": 400, "augment": "none"}
    model = {"name": "cnn", "width": 8}
    return JobSpec.parse(
        {"dataset": dataset, "model": model, "optimizer": {"name": "sgd", "lr": 0.05}, "batch_size": 16, **fields}
    )


def test_the_script_has_a_turn_before_every_step_of_the_engine() -> None:
    script = Idle()

    taken = take_turns(job(), script, steps=5)

    assert (len(taken.engine), len(taken.script)) == (5, 5)
    assert script.steps == WARM_UP + 5 + 1


def test_the_engines_time_is_not_that_of_the_script() -> None:
    taken = take_turns(job(), Idle(), steps=5)

    assert min(taken.engine) > max(taken.script)


@pytest.mark.parametrize("variant", ["none", "sam"])
def test_a_bare_loop_learns_what_the_engine_learns_from(variant: str) -> None:
    torch.manual_seed(0)
    script = Bare(job(sam=variant))

    for _ in range(70):
        script.step()

    assert script.accuracy() > 0.8


def test_a_script_knows_plain_sam_alone() -> None:
    assert (radius_of(job(sam="none")), radius_of(job(sam={"variant": "sam", "rho": 0.2}))) == (0.0, 0.2)
    with pytest.raises(ValueError, match="fixed radius"):
        radius_of(job(sam="friendly"))
