"""Compiled models: in-place perturbation, dropout replay and statistics hold through torch.compile."""

import pytest
import torch
from torch import nn

import sam
from tests.sam.problems import batch, copies, make, net


@pytest.mark.parametrize("name", list(sam.VARIANTS))
def test_a_compiled_model_trains_as_the_model_itself(name: str) -> None:
    """With dropout, and statistics that move once. aot_eager: graphs are captured, no C++ is built."""
    model, twin = net(), net()
    torch.compiler.reset()
    compiled = torch.compile(twin, backend="aot_eager")
    assert isinstance(compiled, nn.Module)
    plain_optimizer, optimizer = make(name, model), make(name, compiled)

    for i in range(3):
        torch.manual_seed(i)
        expected = plain_optimizer.step_on(batch(model, seed=i))
        torch.manual_seed(i)
        loss = optimizer.step_on(batch(compiled, seed=i))
        torch.testing.assert_close(loss, expected)

    for key, tensor in copies(twin).items():
        torch.testing.assert_close(tensor, copies(model)[key])
    assert int(twin.get_buffer("1.num_batches_tracked")) == 3
