"""Two processes over gloo: the clean gradient shared, or kept on its rank, which is m-sharpness."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import start_processes

import sam
from tests.sam import ranks
from tests.sam.problems import PER_SAMPLE, batch, make, smooth_net

Results = dict[tuple[str, str], dict[str, Tensor]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results]:
    """Every variant's weights after three steps, synchronised and local, as each rank has them."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    start_processes(
        ranks.run, (str(folder / "meeting"), str(folder), list(sam.VARIANTS)), nprocs=2, start_method="spawn"
    )
    return torch.load(folder / "0.pt"), torch.load(folder / "1.pt")


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        (name, mode)
        for name in sam.VARIANTS
        for mode in ("synced", "local", "by hand")
        if not (name in PER_SAMPLE and mode == "by hand")
    ],
)
def test_both_ranks_hold_the_same_weights(name: str, mode: str, both: tuple[Results, Results]) -> None:
    zero, one = both

    for key, value in zero[name, mode].items():
        assert torch.equal(value, one[name, mode][key])


@pytest.mark.parametrize("name", sam.VARIANTS)
def test_synchronised_ranks_step_as_one_process_with_the_whole_batch(name: str, both: tuple[Results, Results]) -> None:
    model = smooth_net().double()
    optimizer = make(name, model)

    for i in range(3):
        optimizer.step_on(batch(model, seed=i).double())

    for key, value in model.state_dict().items():
        torch.testing.assert_close(both[0][name, "synced"][key], value, rtol=1e-12, atol=1e-14)


def test_local_clean_gradients_give_the_mean_of_the_shards_perturbed_gradients(
    both: tuple[Results, Results],
) -> None:
    """m-sharpness by hand: each half of the batch has its own ε; the gradients taken there are averaged."""
    model = smooth_net().double()
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)

    for i in range(3):
        taken: list[list[Tensor]] = []
        for rank in range(2):
            twin = copy.deepcopy(model)
            optimizer = make("sam", twin)
            mine = ranks.shard(batch(twin, seed=i).double(), rank)
            mine.loss().backward()
            optimizer.first_step(zero_grad=True)
            mine.loss().backward()
            taken.append([p.grad for p in twin.parameters() if p.grad is not None])
        for p, a, b in zip(model.parameters(), *taken, strict=True):
            p.grad = (a + b) / 2
        base.step()

    for key, value in model.state_dict().items():
        torch.testing.assert_close(both[0]["sam", "local"][key], value, rtol=1e-10, atol=1e-12)
