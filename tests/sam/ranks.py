"""What each of two data-parallel processes does in `test_data_parallel.py`; a spawned process imports it."""

import contextlib
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tests.sam.problems import PER_SAMPLE, Samples, batch, make, smooth_net


def shard(samples: Samples, rank: int) -> Samples:
    """This rank's half of the samples."""
    return Samples(samples.model, samples.x[rank::2], samples.y[rank::2])


def train(rank: int, name: str, local: bool) -> dict[str, Tensor]:
    """Three steps; `local` keeps the clean gradient of a two-pass step on its rank (m-sharpness)."""
    model = smooth_net().double()
    parallel = DistributedDataParallel(model)
    optimizer = make(name, model)
    for i in range(3):
        samples = batch(parallel, seed=i)
        mine = shard(samples.double(), rank)

        def closure(mine: Samples = mine) -> Tensor:
            alone = local and optimizer.gradient_may_stay_local
            with parallel.no_sync() if alone else contextlib.nullcontext():
                loss = mine.loss()  # the forward too
                loss.backward()
            return loss

        if name in PER_SAMPLE:
            optimizer.step_on(mine)
        else:
            optimizer.step(closure)
    return {key: value.clone() for key, value in model.state_dict().items()}


def train_by_hand(rank: int, name: str) -> dict[str, Tensor]:
    """Steps that take one pass, in a loop that always makes two and keeps the first on its rank."""
    model = smooth_net().double()
    parallel = DistributedDataParallel(model)
    optimizer = make(name, model, **({} if name == "none" else {"active": {"every": 2}}))
    for i in range(3):
        mine = shard(batch(parallel, seed=i).double(), rank)
        with parallel.no_sync():
            mine.loss().backward()
        optimizer.first_step(zero_grad=True)
        mine.loss().backward()
        optimizer.second_step(zero_grad=True)
    return {key: value.clone() for key, value in model.state_dict().items()}


def run(rank: int, meeting: str, out: str, names: list[str]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    try:
        results = {(name, mode): train(rank, name, mode == "local") for name in names for mode in ("synced", "local")}
        results |= {(name, "by hand"): train_by_hand(rank, name) for name in names if name not in PER_SAMPLE}
        torch.save(results, Path(out) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
